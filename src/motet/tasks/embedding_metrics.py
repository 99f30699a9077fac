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
    note = f"without {left:,} rows whose class has no other row as queries" if left else ""
    return Score(float(share), note)


def _hits(queries: Tensor, embeddings: Tensor, labels: Tensor) -> Tensor:
    """Return for each query the share of its nearest rows that have its class."""
    lengths = embeddings.square().sum(dim=1)
    own = lengths[queries, None]
    squared = own + lengths - 2 * embeddings[queries] @ embeddings.T
    squared[torch.arange(len(queries), device=queries.device), queries] = torch.inf
    least = squared.amin(dim=1, keepdim=True)
    nearest = squared <= least + _LIKE * (own + lengths)
    hits = nearest & (labels[queries, None] == labels)
    return hits.sum(dim=1).double() / nearest.sum(dim=1)
