"""Metrics of embeddings, which need all rows at once.

Distances are computed for some rows at a time, so that memory does not grow with the square of the
rows; time does.
"""

from math import nan

import torch
from torch import Tensor

from motet.tasks.metric import Score, ScoredRows, metric

_AT_ONCE = 1 << 23
"""Distances at a time: 64 megabytes."""
_LIKE = 1e-9
"""Difference of squared distances, relative to the squared lengths, that rounding may cause."""


@metric("identity")
def recall_at_1(rows: ScoredRows) -> Score:
    """Return how often the nearest other row has the same class; of rows equally near, the share.

    Rows whose class has no other row are no queries, but may be found.
    """
    _, labels, sizes = torch.unique(rows.target, return_inverse=True, return_counts=True)
    others = sizes[labels] - 1
    queries = (others > 0).nonzero().squeeze(1)
    if not len(queries):
        return Score(nan, "no row has another one of its class")
    value = rows.value.double()
    if bool((value == value[0]).all()):
        share = (others[queries] / (len(value) - 1)).double().mean()
    else:
        size = max(1, _AT_ONCE // len(value))
        centred = value - value.mean(dim=0)
        found = [_hits(each, centred, labels) for each in queries.split(size)]
        share = torch.cat(found).mean()
    left = len(value) - len(queries)
    note = f"without {left:,} row{'s' * (left > 1)} whose class has no other row as queries"
    return Score(float(share), note if left else "")


def _hits(queries: Tensor, embeddings: Tensor, labels: Tensor) -> Tensor:
    """Return for each query the share of its nearest rows that have its class."""
    lengths = embeddings.square().sum(dim=1)
    # squared distances but for the length of the query, which all of its row have in common
    apart = torch.addmm(lengths, embeddings[queries], embeddings.T, alpha=-2)
    apart[torch.arange(len(queries), device=queries.device), queries] = torch.inf
    least = apart.amin(dim=1)
    loose = least + _LIKE * (lengths[queries] + lengths.max())
    query, other = (apart <= loose[:, None]).nonzero().unbind(dim=1)  # few
    near = apart[query, other] <= least[query] + _LIKE * (lengths[queries[query]] + lengths[other])
    query, other = query[near], other[near]
    hits = labels[queries[query]] == labels[other]
    found = torch.bincount(query, hits.double(), minlength=len(queries))
    return found / torch.bincount(query, minlength=len(queries))
