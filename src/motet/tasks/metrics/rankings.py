"""Metrics of rankings: means over lists, of which only sums are kept.

Rows with equal scores have no order: every metric is its mean over all orders of such rows, in
closed form. A list without a relevant row (relevance above 0) has no best order; it is left out,
and a note counts those lists. ``ndcg@10`` and the like count the first positions alone.
"""

from collections.abc import Callable
from functools import partial
from math import nan
from typing import NamedTuple

import torch
from torch import Tensor

from motet.tasks.losses.rankings import discounts, gains, positions_by
from motet.tasks.metric import Metric, Score, ScoredRows, Totals


class Ranked(NamedTuple):
    """The rows of all lists, list by list, by falling scores."""

    lists: Tensor
    """Number of the list of each row (n,)."""
    relevance: Tensor
    """Of each row (n,)."""
    position: Tensor
    """In its list, counted from 1 (n,)."""
    tie: Tensor
    """Number of the set of equal scores of a list, (n,)."""


def ranked(rows: ScoredRows) -> Ranked:
    """Sort rows whose targets are relevance and number of the query, (N, 2)."""
    lists = torch.unique(rows.target[:, 1], return_inverse=True)[1]
    scores = rows.value.double()
    order, position = positions_by(scores, lists)
    lists, scores = lists[order], scores[order]
    new = (position == 1) | (scores != scores.roll(1))
    return Ranked(lists, rows.target[order, 0].double(), position, new.cumsum(0) - 1)


PerList = Callable[[Ranked, int | None], Tensor]
"""From ranked rows, and the last position that counts, to one number per list (G,)."""


def of_lists(per_list: PerList, last: int | None = None) -> Metric:
    """Make a metric of a function of ranked rows: its mean over lists with a relevant row."""

    def gather(rows: ScoredRows) -> Totals:
        found = ranked(rows)
        scores = per_list(found, last)
        usable = _by_list((found.relevance > 0).double(), found.lists) > 0
        counts = scores.new_tensor([usable.sum(), len(usable)])
        return Totals((scores.where(usable, 0).sum(), *counts), _mean)

    def function(rows: ScoredRows) -> Score:
        return gather(rows).score()

    name = per_list.__name__.removesuffix("_")
    if last is None:
        at = partial(of_lists, per_list)
        return Metric(name, function, ("relevance",), 1.0, True, gather=gather, at=at)
    return Metric(f"{name}@{last}", function, ("relevance",), 1.0, True, gather=gather)


@of_lists
def ndcg(rows: Ranked, last: int | None) -> Tensor:
    """Return DCG = sum (2^rel - 1) / log2(rank + 1), over that of the best order."""
    gain = gains(rows.relevance, rows.lists)
    discount = _cut(discounts(rows.position), rows, last)
    found = _by_list(_mean_of_ties(gain, rows.tie) * discount, rows.lists)
    order, position = positions_by(gain, rows.lists)
    best = _cut(discounts(position), rows._replace(position=position), last)
    return found / _by_list(gain[order] * best, rows.lists[order])


@of_lists
def mrr(rows: Ranked, last: int | None) -> Tensor:
    """Return 1 / rank of the first relevant row."""
    # the first relevant row is in the first tie with r > 0 relevant rows of t; it is the p-th of
    # them with probability C(t - p, r - 1) / C(t, r)
    relevant = (rows.relevance > 0).double()
    size, hits, place, before = _ties(relevant, rows)
    left = size - place
    usable = (before == 0) & (hits > 0) & (left >= hits - 1)
    chance = _log_choose(left, hits - 1, usable) - _log_choose(size, hits, usable)
    found = chance.exp().where(usable, 0) / rows.position
    return _by_list(_cut(found, rows, last), rows.lists)


@of_lists
def map_(rows: Ranked, last: int | None) -> Tensor:
    """Return the mean precision at the ranks of relevant rows; at k, over at most k of them."""
    # at place p of a tie, a row is relevant with probability r / t; then (p - 1)(r - 1) / (t - 1)
    # of those before it in the tie are
    relevant = (rows.relevance > 0).double()
    size, hits, place, before = _ties(relevant, rows)
    above = before + 1 + (place - 1) * (hits - 1) / (size - 1).clamp(min=1)
    precision = hits / size * above / rows.position
    total = _by_list(relevant, rows.lists)
    if last is not None:
        total = total.clamp(max=last)
    return _by_list(_cut(precision, rows, last), rows.lists) / total


def _ties(relevant: Tensor, rows: Ranked) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Describe the tie of each row: its size, its relevant rows, the row's place in it, (n,) each.

    Returns:
        Those three, and how many relevant rows of the list come before the tie.
    """
    size, hits = (_sum_of_ties(each, rows.tie) for each in (torch.ones_like(relevant), relevant))
    numbers = torch.arange(len(rows.tie), device=rows.tie.device)
    first = numbers.new_full((int(rows.tie.max()) + 1,), len(numbers))
    place = numbers - first.scatter_reduce(0, rows.tie, numbers, "amin")[rows.tie] + 1
    through = relevant.cumsum(0) - relevant
    before = through[place == 1][rows.tie] - through[rows.position == 1][rows.lists]
    return size, hits, place.double(), before


def _mean(total: Tensor, usable: Tensor, lists: Tensor) -> Score:
    left = int(lists - usable)
    if not int(usable):
        return Score(nan, f"none of {int(lists):,} lists has a row of relevance above 0")
    note = f"without {left:,} of {int(lists):,} lists, which have no row of relevance above 0"
    return Score(float(total / usable), note if left else "")


def _by_list(values: Tensor, lists: Tensor) -> Tensor:
    count = int(lists.max()) + 1
    return values.new_zeros(count).index_add(0, lists, values)


def _sum_of_ties(values: Tensor, tie: Tensor) -> Tensor:
    """Return, for each row, the sum over the rows of its tie."""
    return _by_list(values, tie)[tie]


def _mean_of_ties(values: Tensor, tie: Tensor) -> Tensor:
    return _sum_of_ties(values, tie) / _sum_of_ties(torch.ones_like(values), tie)


def _log_choose(n: Tensor, k: Tensor, usable: Tensor) -> Tensor:
    n, k = n.where(usable, 0), k.where(usable, 0)
    return (n + 1).lgamma() - (k + 1).lgamma() - (n - k + 1).lgamma()


def _cut(values: Tensor, rows: Ranked, last: int | None) -> Tensor:
    return values if last is None else values.where(rows.position <= last, 0)
