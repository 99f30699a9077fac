"""What a metric is: a function of all labelled rows of a split at once."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite, nan
from numbers import Real
from typing import Any, NamedTuple

from torch import Tensor

from motet.problems import InputError
from motet.tags import TagSet
from motet.tasks.kinds import LabelKind


class Score(NamedTuple):
    """What a metric found."""

    value: float
    note: str = ""
    """Why it is NaN, or what was left out."""


@dataclass(frozen=True)
class Split:
    """All rows of a split that have a label for one task."""

    value: Tensor
    """Predictions: classes (N,), numbers (N,) or (N, K) in original units, 0/1 (N, C), or tags
    (N, L)."""
    probabilities: Tensor | None
    """Of classes or labels, (N, C)."""
    target: Tensor
    """Labels in the form of ``value``; where a cell (N, C) or number (N, K) is missing NaN, where a
    tag is -100."""
    names: tuple[str, ...] | None = None
    """Of the classes, labels, tags or outputs."""
    tags: TagSet | None = None
    """What tags mean."""

    def name(self, index: int) -> str:
        """Return what a note calls a class, label or output."""
        return repr(self.names[index]) if self.names else str(index)


@dataclass(frozen=True)
class Metric:
    """A metric and what is known about it; call it with a `Split`."""

    name: str
    function: Callable[[Split], Score]
    labels: tuple[str, ...] | None
    """Names of the kinds of label that it suits; None for all."""
    best: float | None
    """Its value for perfect predictions; None if not known."""
    higher_is_better: bool | None
    ranks: bool = False
    """Whether it needs probabilities, which a task may not give."""

    def suits(self, kind: LabelKind) -> bool:
        """Return whether it can score a kind of label."""
        return self.labels is None or kind.name in self.labels

    @property
    def without_score(self) -> str:
        """Why a task has no score by it; empty if it can have one."""
        if self.best is not None:
            return ""
        return (
            f"its best value is not known, so it gives no score; set {self.name}.best to the value "
            "for perfect predictions, or put another metric first"
        )

    def __call__(self, split: Split) -> Score:
        if self.ranks and split.probabilities is None:
            return Score(nan, "the task predicts no probabilities")
        return self.function(split)


def metric(
    *labels: str, best: float = 1.0, ranks: bool = False
) -> Callable[[Callable[[Split], Score]], Metric]:
    """Return a decorator that makes a built-in metric; with ``best=0`` the lower the better."""

    def make(function: Callable[[Split], Score]) -> Metric:
        return Metric(function.__name__, function, labels, best, best > 0, ranks)

    return make


def of_arrays(function: Callable[..., Any], name: str) -> Metric:
    """Make a metric of a function ``(predictions, targets) -> float`` on NumPy arrays.

    It is called once with all labelled rows of a split; if it has a parameter ``probabilities``, it
    gets those too. What would be perfect is not known, unless the function has an attribute
    ``best``; without it the metric is reported, but gives no score, and cannot be monitored.

    Args:
        function: The function.
        name: What to call the metric.

    Returns:
        The metric, for every kind of task.

    Raises:
        InputError: If ``best`` is not a finite number, or ``higher_is_better`` no truth value.
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
    if best is not None and not (isinstance(best, Real) and isfinite(best)):
        raise InputError(
            f"metric {name!r}: best is {best!r}, expected a finite number, the value for perfect "
            "predictions; leave it out where there is none"
        )
    if higher is not None and not isinstance(higher, bool):
        raise InputError(f"metric {name!r}: higher_is_better is {higher!r}, expected True or False")
    perfect = None if best is None else float(best)
    return Metric(name, call, None, perfect, higher)


def _array(values: Tensor | None) -> Any:
    return None if values is None else values.cpu().numpy()


def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    try:
        return tuple(inspect.signature(function).parameters)
    except ValueError:  # written in C, without a signature
        return ()
