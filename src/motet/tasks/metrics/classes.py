"""Metrics of classes and labels: over a whole split, never averages over batches.

A metric that has no meaning on a split (one class only, a constant target, no labels) is NaN with
a reason, rather than a number that looks like a result. Classes and labels are scored one against
the rest and averaged with equal weight ("macro"); those that cannot be scored are left out and
named.

Those that add up keep sums of the rows; rankings need all rows at once.
"""

from collections.abc import Callable, Iterator
from math import nan

import torch
from torch import Tensor

from motet.tasks.metric import Score, ScoredRows, Totals, gathering, macro, metric, share


@gathering("class", "ordinal", "indicators", "pixel_classes")
def accuracy(rows: ScoredRows) -> Totals:
    """Return the share of right classes; for multi_label, of right cells; else of right pixels."""
    known = ~rows.target.isnan()
    return Totals(((rows.value == rows.target)[known].sum(), known.sum()), share)


@gathering("class", "ordinal", "indicators", "pixel_classes")
def macro_f1(rows: ScoredRows) -> Totals:
    """Return the mean over classes that occur or are predicted of 2 TP / (actual + predicted)."""
    value, target = rows.value, rows.target
    if target.ndim == 1:
        size = int(torch.maximum(value, target).max()) + 1
        counted = (target[value == target], value, target)
        return Totals(tuple(torch.bincount(each, minlength=size) for each in counted), _macro_f1)
    predicted, positive = (value == 1) & ~target.isnan(), target == 1
    cells = (predicted & positive, predicted, positive)
    return Totals(tuple(each.sum(dim=0) for each in cells), _macro_f1)


def _macro_f1(hits: Tensor, found: Tensor, true: Tensor) -> Score:
    seen = found + true > 0
    if not bool(seen.any()):
        return Score(nan, "no label occurs or is predicted")
    return Score(float((2 * hits / (found + true).double())[seen].mean()))


@metric("class", "indicators", ranks=True)
def auroc(rows: ScoredRows) -> Score:
    """Return how probably a positive row is ranked above a negative one; macro.

    With two classes, class 1 is the positive one. Rows of equal scores count as half.
    """

    def area(scores: Tensor, positive: Tensor) -> float | None:
        if bool(positive.all()) or not bool(positive.any()):
            return None
        hits, found = _found(scores, positive)
        misses = found - hits
        pairs = torch.trapezoid(hits, misses) + hits[0] * misses[0] / 2
        return float(pairs / (hits[-1] * misses[-1]))

    return _mean_score(area, _rankings(rows), "has no positive or no negative row")


@metric("class", "indicators", ranks=True)
def average_precision(rows: ScoredRows) -> Score:
    """Return the mean precision over the recalls of a ranking; macro.

    With two classes, class 1 is the positive one.
    """

    def area(scores: Tensor, positive: Tensor) -> float | None:
        if not bool(positive.any()):
            return None
        hits, found = _found(scores, positive)
        gains = hits.diff(prepend=hits.new_zeros(1))
        return float((gains * hits / found).sum() / hits[-1])

    return _mean_score(area, _rankings(rows), "has no positive row")


@gathering("class", "ordinal", "indicators", best=0.0, ranks=True)
def log_loss(rows: ScoredRows) -> Totals:
    """Return the mean -log of the probability of what is true, where 0 counts as rounding to 0."""
    p = _probabilities(rows)
    if rows.target.ndim == 1:
        true = p.gather(1, rows.target.unsqueeze(1))
    else:
        known = ~rows.target.isnan()
        true = torch.where(rows.target == 1, p, 1 - p)[known]
    logs = true.double().clamp(min=torch.finfo(p.dtype).eps).log()
    return Totals((-logs.sum(), logs.new_tensor(logs.numel())), share)


_BINS = 15


@gathering("class", "ordinal", "indicators", best=None, higher=False, ranks=True)
def calibration_error(rows: ScoredRows) -> Totals:
    """Return the mean over rows of |share of right rows - mean probability| in the row's bin.

    The expected calibration error, in 15 bins of equal width (Naeini et al., AAAI 2015), of the
    predicted class, or of each cell of several labels. It gives no score, as a constant prediction
    can be well calibrated.
    """
    p = _probabilities(rows).double()
    if rows.target.ndim == 1:
        p = p.gather(1, rows.value.unsqueeze(1).long()).squeeze(1)
        right = rows.value == rows.target
    else:
        known = ~rows.target.isnan()
        p, right = p[known], rows.target[known] == 1
    place = (p * _BINS).long().clamp(0, _BINS - 1)
    sums = (torch.ones_like(p), p, right.double())
    return Totals(tuple(torch.bincount(place, each, minlength=_BINS) for each in sums), _mean_gap)


def _mean_gap(count: Tensor, stated: Tensor, right: Tensor) -> Score:
    return Score(float((stated - right).abs().sum() / count.sum()))


def _found(scores: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    """Return how many positive rows, and how many rows, have at least each distinct score.

    From the highest score to the lowest, in float64.
    """
    ordered, order = scores.sort(descending=True)
    last = torch.cat([ordered[1:] != ordered[:-1], torch.ones_like(ordered[:1], dtype=torch.bool)])
    hits = positive[order].double().cumsum(0)[last]
    return hits, last.nonzero().squeeze(1).double() + 1


Columns = Iterator[tuple[str, Tensor, Tensor]]


def _rankings(rows: ScoredRows) -> Columns:
    # Name, scores and truth of each class or label; of two classes the second is enough.
    scores = _probabilities(rows)
    if rows.target.ndim == 1:
        classes = range(scores.shape[1])
        for index in classes if len(classes) != 2 else (1,):
            yield rows.name(index), scores[:, index], rows.target == index
    else:
        for index, known in enumerate(~rows.target.isnan().T):
            yield rows.name(index), scores[known, index], rows.target[known, index] == 1


def _mean_score(
    score: Callable[[Tensor, Tensor], float | None], columns: Columns, otherwise: str
) -> Score:
    return macro(((name, score(found, truth)) for name, found, truth in columns), otherwise)


def _probabilities(rows: ScoredRows) -> Tensor:
    assert rows.probabilities is not None  # `Metric.ranks` saw to it
    return rows.probabilities
