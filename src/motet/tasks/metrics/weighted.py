"""Metrics in which each row counts by its weight, as scikit-learn's ``sample_weight`` does.

They need all rows of a split at once. A metric that is not here cannot be weighted, nor can a
function of users without a parameter ``weights``.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import sqrt

import torch
from torch import Tensor

from motet.problems import InputError
from motet.states import MISSING
from motet.tasks.metric import Metric, Score, ScoredRows, macro
from motet.tasks.metrics.numbers import known_outputs
from motet.tasks.metrics.texts import f1_of_rows

_CONSTANT = "has a constant target or no label"


def weighted(metric: Metric, task: str) -> Metric:
    """Return a metric in which rows count by their weights.

    Raises:
        InputError: If there is none.
    """
    if metric.weighs or metric.of_loss is not None:  # functions of users; the loss is weighted
        return metric
    function = _WEIGHTED.get(metric.name) if metric.built_in else None
    if function is None:
        raise InputError(
            f"{metric.name!r} does not count rows by their weights; expected "
            f"{', '.join(_WEIGHTED)}, or a function (predictions, targets, weights) -> float; "
            "give metrics of these, or remove weighted_metrics",
            option="metrics",
            owner=f"task {task!r}",
        )
    return replace(metric, function=function, gather=None)


def accuracy(rows: ScoredRows) -> Score:
    """Return the weight of right classes, or cells, among that of all."""
    known = ~rows.target.isnan()
    return _share((rows.value == rows.target).double(), known, _weights(rows))


def token_accuracy(rows: ScoredRows) -> Score:
    """Return the weight of words with the right tag among that of all."""
    return _share((rows.value == rows.target).double(), rows.target != MISSING, _weights(rows))


def exact_match(rows: ScoredRows) -> Score:
    """Return the weight of texts that are right in every token among that of all."""
    right = (rows.value == rows.target).all(dim=1)
    return _share(right.double(), torch.ones_like(right), _weights(rows))


def token_f1(rows: ScoredRows) -> Score:
    """Return the weighted mean of 2 common / (true + generated) tokens of each row."""
    scores = f1_of_rows(rows).to(rows.target.device)
    return _share(scores, torch.ones_like(scores, dtype=torch.bool), _weights(rows))


def log_loss(rows: ScoredRows) -> Score:
    """Return the weighted mean of -log of the probability of what is true."""
    p = _probabilities(rows)
    if rows.target.ndim == 1:
        true = p.gather(1, rows.target.long().unsqueeze(1)).squeeze(1)
    else:
        true = torch.where(rows.target == 1, p, 1 - p)
    logs = -true.double().clamp(min=torch.finfo(p.dtype).eps).log()
    return _share(logs, ~rows.target.isnan(), _weights(rows))


def macro_f1(rows: ScoredRows) -> Score:
    """Return the mean over classes that occur or are predicted of 2 TP / (actual + predicted)."""
    value, target, w = rows.value, rows.target, _weights(rows)
    if target.ndim == 1:
        size = int(torch.maximum(value, target).max()) + 1
        hit = value == target
        hits, found, true = (
            torch.bincount(classes.long(), weights, minlength=size)
            for classes, weights in ((target[hit], w[hit]), (value, w), (target, w))
        )
    else:
        predicted, positive = (value == 1) & ~target.isnan(), target == 1
        hits, found, true = (w @ c.double() for c in (predicted & positive, predicted, positive))
    seen = found + true > 0
    if not bool(seen.any()):
        return Score(float("nan"), "no label occurs or is predicted")
    return Score(float((2 * hits / (found + true))[seen].mean()))


def auroc(rows: ScoredRows) -> Score:
    """Return how probably a positive row ranks above a negative one, drawn by weight; macro."""

    def area(positive: Tensor, negative: Tensor) -> float | None:
        if not bool(positive.any()) or not bool(negative.any()):
            return None
        below = negative.cumsum(0) - negative / 2  # half of those with the same score
        return float((positive * below).sum() / (positive.sum() * negative.sum()))

    otherwise = "has no positive or no negative row"
    return macro(((name, area(*sums)) for name, *sums in _by_score(rows)), otherwise)


def average_precision(rows: ScoredRows) -> Score:
    """Return the mean precision over the recalls of a ranking, by weight; macro."""

    def area(positive: Tensor, negative: Tensor) -> float | None:
        if not bool(positive.any()):
            return None
        gained = positive.flip(0)
        right, wrong = gained.cumsum(0), negative.flip(0).cumsum(0)
        precision = right / (right + wrong).clamp(min=torch.finfo(right.dtype).tiny)
        return float((gained * precision).sum() / positive.sum())

    return macro(((name, area(*sums)) for name, *sums in _by_score(rows)), "has no positive row")


def mae(rows: ScoredRows) -> Score:
    """Return the weighted mean absolute error, averaged over outputs."""
    means = ((name, _mean(w, (x - y).abs())) for name, x, y, w in _outputs(rows))
    return macro(means, _CONSTANT)


def rmse(rows: ScoredRows) -> Score:
    """Return the root of the weighted mean squared error, averaged over outputs."""
    means = ((name, _mean(w, (x - y).square())) for name, x, y, w in _outputs(rows))
    return macro(((name, None if m is None else sqrt(m)) for name, m in means), _CONSTANT)


def r2(rows: ScoredRows) -> Score:
    """Return 1 - weighted squared error / that of the weighted mean, averaged over outputs."""

    def explained(x: Tensor, y: Tensor, w: Tensor) -> float | None:
        mean = _mean(w, y)
        if mean is None or bool((y == y[0]).all()):
            return None
        return float(1 - (w * (x - y).square()).sum() / (w * (y - mean).square()).sum())

    return macro(((name, explained(*parts)) for name, *parts in _outputs(rows)), _CONSTANT)


_WEIGHTED: dict[str, Callable[[ScoredRows], Score]] = {
    function.__name__: function
    for function in (
        accuracy,
        macro_f1,
        auroc,
        average_precision,
        log_loss,
        token_accuracy,
        exact_match,
        token_f1,
        mae,
        rmse,
        r2,
    )
}


def _weights(rows: ScoredRows) -> Tensor:
    """Return how much each row counts, (N,) float64; 1 where rows have no weights."""
    if rows.weights is None:
        return torch.ones(len(rows.target), dtype=torch.float64, device=rows.target.device)
    return rows.weights.double()


def _share(values: Tensor, known: Tensor, weights: Tensor) -> Score:
    wide = weights.view(-1, *[1] * (values.ndim - 1)).expand_as(values)[known]
    return Score(float((wide * values[known]).sum() / wide.sum()))


def _mean(weights: Tensor, values: Tensor) -> float | None:
    return float((weights * values).sum() / weights.sum()) if len(values) else None


def _by_score(rows: ScoredRows) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield for each class the weights of positives and negatives by score, the lowest first."""
    p, weights = _probabilities(rows), _weights(rows)
    one_class = rows.target.ndim == 1
    classes = range(p.shape[1])
    for index in classes if not one_class or len(classes) != 2 else (1,):
        own = rows.target if one_class else rows.target[:, index]
        known = ~own.isnan()
        positive = (own == (index if one_class else 1))[known]
        places = torch.unique(p[known, index], return_inverse=True)[1]
        w = weights[known]
        above, below = (torch.bincount(places, w * side) for side in (positive, ~positive))
        yield rows.name(index), above, below


def _outputs(rows: ScoredRows) -> Iterator[tuple[str, Tensor, Tensor, Tensor]]:
    """Yield name, predictions, truth and weights of each output, float64."""
    weights = _weights(rows)
    for name, value, truth, known in known_outputs(rows):
        yield name, value, truth, weights[known]


def _probabilities(rows: ScoredRows) -> Tensor:
    assert rows.probabilities is not None  # `Metric.ranks` saw to it
    return rows.probabilities
