"""Metrics: functions of a whole split at once, never averages over batches.

A metric that has no meaning on a split (one class only, a constant target, no labels) is NaN with a
reason, rather than a number that looks like a result. Classes and labels are scored one against the
rest and averaged with equal weight ("macro"), outputs of a regression likewise; those that cannot be
scored are left out and named.

torchmetrics takes seconds to import, so it is imported when a metric of it is computed.
"""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import nan
from typing import Any, NamedTuple

import torch
from torch import Tensor

from motet.problems import InputError
from motet.tasks.labels import Labels


class Score(NamedTuple):
    """What a metric found."""

    value: float
    note: str = ""
    """Why it is NaN, or what was left out."""


@dataclass(frozen=True)
class Split:
    """All rows of a split that have a label for one task."""

    value: Tensor
    """Predictions: classes (N,), numbers (N,) or (N, K) in original units, or 0/1 (N, C)."""
    probabilities: Tensor | None
    """Of classes or labels, (N, C)."""
    target: Tensor
    """Labels in the form of ``value``; NaN where a cell (N, C) or number (N, K) is missing."""
    names: tuple[str, ...] | None = None
    """Of the classes, labels or outputs."""

    def name(self, index: int) -> str:
        """Name a class, label or output in a note."""
        return repr(self.names[index]) if self.names else str(index)


@dataclass(frozen=True)
class Metric:
    """A metric and what is known about it; call it with a `Split`."""

    name: str
    function: Callable[[Split], Score]
    labels: tuple[Labels, ...]
    """Which kinds of label it can judge."""
    best: float | None
    """Its value for perfect predictions; None if not known."""
    higher_is_better: bool | None
    ranks: bool = False
    """Whether it needs probabilities, which a task may not give."""

    def __call__(self, split: Split) -> Score:
        if self.ranks and split.probabilities is None:
            return Score(nan, "the task predicts no probabilities")
        return self.function(split)


def metric(
    *labels: Labels, best: float = 1.0, ranks: bool = False
) -> Callable[[Callable[[Split], Score]], Metric]:
    """Make a built-in metric of a function; errors have ``best=0``, and less is better."""

    def make(function: Callable[[Split], Score]) -> Metric:
        return Metric(function.__name__, function, labels, best, best > 0, ranks)

    return make


# Classes and labels --------------------------------------------------------------------------


@metric("class", "indicators")
def accuracy(split: Split) -> Score:
    """Share of right classes; for multi_label, of right cells."""
    known = ~split.target.isnan()
    return Score(float((split.value == split.target)[known].double().mean()))


@metric("class", "indicators")
def macro_f1(split: Split) -> Score:
    """F1 = 2 TP / (predicted + actual) of each class that is predicted or occurs, averaged."""

    def f1(predicted: Tensor, positive: Tensor) -> float | None:
        total = int(predicted.sum() + positive.sum())
        return 2 * int((predicted & positive).sum()) / total if total else None

    return _macro(f1, _decisions(split), "neither occurs nor is predicted")


@metric("class", "indicators", ranks=True)
def auroc(split: Split) -> Score:
    """Probability that a positive row is ranked above a negative one; macro, one against the rest.

    With two classes, class 1 is the positive one.
    """
    from torchmetrics.functional.classification import binary_auroc

    def area(scores: Tensor, positive: Tensor) -> float | None:
        if bool(positive.all()) or not bool(positive.any()):
            return None
        return float(binary_auroc(scores, positive.long(), validate_args=False))

    return _macro(area, _rankings(split), "has rows of one kind only, all of it or none")


@metric("class", "indicators", ranks=True)
def average_precision(split: Split) -> Score:
    """Mean precision over the recalls of a ranking; macro, over classes or labels that occur.

    With two classes, class 1 is the positive one.
    """
    from torchmetrics.functional.classification import binary_average_precision

    def area(scores: Tensor, positive: Tensor) -> float | None:
        if not bool(positive.any()):
            return None
        return float(binary_average_precision(scores, positive.long(), validate_args=False))

    return _macro(area, _rankings(split), "has no positive row")


@metric("class", "indicators", best=0.0, ranks=True)
def log_loss(split: Split) -> Score:
    """Mean -log of the probability of what is true; probabilities are kept off 0, as elsewhere."""
    p = _probabilities(split)
    if split.target.ndim == 1:
        true = p.gather(1, split.target.unsqueeze(1))
    else:
        known = ~split.target.isnan()
        true = torch.where(split.target == 1, p, 1 - p)[known]
    return Score(float(-true.double().clamp(min=torch.finfo(p.dtype).eps).log().mean()))


Columns = Iterator[tuple[str, Tensor, Tensor]]


def _rankings(split: Split) -> Columns:
    """Name, scores and truth of each class or label; of two classes the second says it all."""
    scores = _probabilities(split)
    if split.target.ndim == 1:
        classes = range(scores.shape[1])
        for index in classes if len(classes) != 2 else (1,):
            yield split.name(index), scores[:, index], split.target == index
    else:
        for index, known in enumerate(~split.target.isnan().T):
            yield split.name(index), scores[known, index], split.target[known, index] == 1


def _decisions(split: Split) -> Columns:
    """Name, decisions and truth of each class or label."""
    if split.target.ndim == 1:
        for index in range(int(torch.maximum(split.value, split.target).max()) + 1):
            yield split.name(index), split.value == index, split.target == index
    else:
        for index, known in enumerate(~split.target.isnan().T):
            truth = split.target[known, index] == 1
            yield split.name(index), split.value[known, index] == 1, truth


def _macro(
    score: Callable[[Tensor, Tensor], float | None], columns: Columns, otherwise: str
) -> Score:
    """Average a score over the columns that have one, and name those that have none."""
    scores = {name: score(found, truth) for name, found, truth in columns}
    usable = [each for each in scores.values() if each is not None]
    missing = [name for name, each in scores.items() if each is None]
    names = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
    if not usable:
        return Score(nan, f"undefined, as each of these {otherwise}: {names}")
    note = f"without these, as each {otherwise}: {names}" if missing else ""
    return Score(sum(usable) / len(usable), note)


def _probabilities(split: Split) -> Tensor:
    assert split.probabilities is not None  # `Metric.ranks` saw to it
    return split.probabilities


# Numbers -------------------------------------------------------------------------------------


@metric("number", best=0.0)
def mae(split: Split) -> Score:
    """Mean absolute error, averaged over outputs."""
    return _over_outputs(lambda found, truth: float((found - truth).abs().mean()), split)


@metric("number", best=0.0)
def rmse(split: Split) -> Score:
    """Root of the mean squared error, averaged over outputs."""
    return _over_outputs(lambda found, truth: float((found - truth).square().mean().sqrt()), split)


@metric("number")
def r2(split: Split) -> Score:
    """1 - squared error / squared error of the split's own mean, averaged over outputs.

    Not clamped: worse than the mean is below 0. A constant target has none.
    """

    def explained(found: Tensor, truth: Tensor) -> float | None:
        if bool((truth == truth[0]).all()):
            return None
        spread = (truth - truth.mean()).square().sum()
        return float(1 - (found - truth).square().sum() / spread)

    return _over_outputs(explained, split)


def _over_outputs(score: Callable[[Tensor, Tensor], float | None], split: Split) -> Score:
    return _macro(
        lambda found, truth: score(found, truth) if len(truth) else None,
        _outputs(split),
        "has a constant target or no label",
    )


def _outputs(split: Split) -> Columns:
    """Name, predictions and truth of each output, float64, over the rows where it is known."""
    values, targets = split.value.double(), split.target.double()
    if targets.ndim == 1:
        values, targets = values.unsqueeze(1), targets.unsqueeze(1)
    for index, known in enumerate(~targets.isnan().T):
        yield split.name(index), values[known, index], targets[known, index]


# Functions of a user -------------------------------------------------------------------------


def of_arrays(function: Callable[..., Any], name: str) -> Metric:
    """Make a metric of a function ``(predictions, targets) -> float`` on NumPy arrays.

    It is called once with all labelled rows of a split; if it has a parameter ``probabilities``, it
    gets those too. What would be perfect is not known, unless the function says so in attributes
    ``best`` and ``higher_is_better``.

    Args:
        function: The function.
        name: What to call the metric.

    Returns:
        The metric, for every kind of task.
    """

    def call(split: Split) -> Score:
        arrays = {} if not reads else {"probabilities": _array(split.probabilities)}
        found = function(_array(split.value), _array(split.target), **arrays)
        try:
            value = float(found)
        except (TypeError, ValueError):
            raise InputError(
                f"the metric {name!r} returned {type(found).__name__}, expected one number"
            ) from None
        return Score(value, "the function returned NaN" if value != value else "")

    reads = "probabilities" in _parameters(function)
    best = getattr(function, "best", None)
    higher = getattr(function, "higher_is_better", None)
    return Metric(name, call, ("class", "number", "indicators"), best, higher)


def _array(values: Tensor | None) -> Any:
    return None if values is None else values.cpu().numpy()


def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    try:
        return tuple(inspect.signature(function).parameters)
    except ValueError:  # written in C, without a signature
        return ()
