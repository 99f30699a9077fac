"""What a metric is: a function of all labelled rows of a split, which may add up over batches."""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import isfinite, nan
from numbers import Real
from typing import Any, NamedTuple, Protocol, Self

from torch import Tensor
from torch.nn.functional import pad

from motet.problems import InputError
from motet.tags import TagSet
from motet.tasks.kinds import LabelKind


class Score(NamedTuple):
    """What a metric found."""

    value: float
    note: str = ""
    """Why it is NaN, or what was left out."""


@dataclass(frozen=True)
class ScoredRows:
    """Rows that have a label for one task: all of a split, or those of some batches."""

    value: Tensor
    """Predictions: classes (N,), numbers (N,) or (N, K) or quantiles (N, K) in original units, 0/1
    (N, C), or tags (N, L)."""
    probabilities: Tensor | None
    """Of classes or labels, (N, C)."""
    target: Tensor
    """Labels in the form of ``value``; where a cell (N, C) or number (N, K) is missing NaN, where a
    tag is -100."""
    names: tuple[str, ...] | None = None
    """Of the classes, labels, tags or outputs."""
    tags: TagSet | None = None
    """What tags mean."""
    levels: tuple[float, ...] = ()
    """Of the quantiles (N, K) that are predicted of each number."""
    weights: Tensor | None = None
    """How much each row counts, (N,), where metrics are to count rows by it."""

    def name(self, index: int) -> str:
        """Return what a note calls a class, label or output."""
        return repr(self.names[index]) if self.names else str(index)


class State(Protocol):
    """What a metric that adds up keeps of rows."""

    def merged(self, other: Self) -> Self:
        """Return the state for the rows of both."""

    def score(self) -> Score:
        """Return the metric over all rows so far."""


class Totals(NamedTuple):
    """A state of tensors that add up; shorter ones are filled up with zeros."""

    values: tuple[Tensor, ...]
    compute: Callable[..., Score]
    """From the sums to the metric."""

    def merged(self, other: "Totals") -> "Totals":
        return Totals(
            tuple(_added(own, more) for own, more in zip(self.values, other.values, strict=True)),
            self.compute,
        )

    def score(self) -> Score:
        return self.compute(*self.values)


class Final(NamedTuple):
    """The state of a metric that was given all rows, or that no further rows can change."""

    found: Score

    def score(self) -> Score:
        return self.found


def merged(own: State | Final, more: State | Final) -> State | Final:
    """Return the state of a metric for the rows of both."""
    if isinstance(own, Final):
        return own
    return more if isinstance(more, Final) else own.merged(more)


@dataclass(frozen=True)
class Metric:
    """A metric and what is known about it; call it with `ScoredRows`."""

    name: str
    function: Callable[[ScoredRows], Score]
    labels: tuple[str, ...] | None
    """Names of the kinds of label that it suits; None for all."""
    best: float | None
    """Its value for perfect predictions; None if not known."""
    higher_is_better: bool | None
    ranks: bool = False
    """Whether it needs probabilities, which a task may not give."""
    gather: Callable[[ScoredRows], State | Final] | None = None
    """What it keeps of a set of rows; None if it needs all rows at once."""
    at: "Callable[[int], Metric] | None" = None
    """Gives the metric of the first k positions, which is named "name@k"; None if it has none."""
    of_loss: Callable[[float], float] | None = None
    """Computes it from the loss of all rows, if it is another form of the loss."""
    weighs: bool = False
    """Whether it is a function of users that counts rows by their weights."""
    others: tuple[str, ...] = ()
    """Other tasks whose predictions of the same rows it compares, too."""
    with_others: "Callable[[tuple[str, ...]], Metric] | None" = None
    """Gives the metric that compares those of other tasks, too, named "name+task"."""

    def suits(self, kind: LabelKind) -> bool:
        """Return whether it can score a kind of label."""
        return self.labels is None or kind.name in self.labels

    @property
    def built_in(self) -> bool:
        """Whether it is one of motet's, which name the kinds of label that they suit."""
        return self.labels is not None

    @property
    def without_score(self) -> str:
        """Why a task has no score by it; empty if it can have one."""
        if self.best is not None:
            return ""
        if self.others:
            return "it is about several tasks, so it gives no score; put another metric first"
        if self.of_loss is not None:
            return "it is another form of the loss, so it gives no score; put another metric first"
        return (
            f"its best value is not known, so it gives no score; set {self.name}.best to the value "
            "for perfect predictions, or put another metric first"
        )

    def __call__(self, rows: ScoredRows) -> Score:
        return self.state(rows).score()

    def state(self, rows: ScoredRows) -> State | Final:
        """Return what it keeps of rows, all of them if it does not gather."""
        if self.ranks and rows.probabilities is None:
            return Final(Score(nan, "the task predicts no probabilities"))
        return Final(self.function(rows)) if self.gather is None else self.gather(rows)


def metric(
    *labels: str, best: float = 1.0, ranks: bool = False
) -> Callable[[Callable[[ScoredRows], Score]], Metric]:
    """Return a decorator that makes a built-in metric; with ``best=0`` the lower the better."""

    def make(function: Callable[[ScoredRows], Score]) -> Metric:
        return Metric(function.__name__, function, labels, best, best > 0, ranks)

    return make


def gathering(
    *labels: str,
    best: float | None = 1.0,
    higher: bool | None = None,
    ranks: bool = False,
    with_others: Callable[[tuple[str, ...]], Metric] | None = None,
) -> Callable[[Callable[[ScoredRows], State | Final]], Metric]:
    """Return a decorator that makes a built-in metric of a function that gathers a state.

    With ``best=None`` it is reported, but gives no score; ``higher`` is then its direction.
    """

    def make(gather: Callable[[ScoredRows], State | Final]) -> Metric:
        def function(rows: ScoredRows) -> Score:
            return gather(rows).score()

        direction = higher if best is None else best > 0
        name = gather.__name__
        return Metric(
            name, function, labels, best, direction, ranks, gather, with_others=with_others
        )

    return make


def of_loss(*labels: str) -> Callable[[Callable[[float], float]], Metric]:
    """Return a decorator that makes a built-in metric of the loss of all rows; lower is better.

    A constant prediction has no loss, so such a metric gives no score.
    """

    def nothing(rows: ScoredRows) -> Final:
        return Final(Score(nan, "a constant prediction has no loss"))

    def make(function: Callable[[float], float]) -> Metric:
        return Metric(
            function.__name__,
            lambda rows: nothing(rows).score(),
            labels,
            best=None,
            higher_is_better=False,
            gather=nothing,
            of_loss=function,
        )

    return make


def macro(scores: Iterable[tuple[str, float | None]], otherwise: str) -> Score:
    """Average scores with equal weight, and name the classes, labels or outputs that have none.

    Args:
        scores: By name; None for one that has no score.
        otherwise: What is true of those without a score, for the note.

    Returns:
        The mean; NaN if none has a score.
    """
    found = dict(scores)
    usable = [each for each in found.values() if each is not None]
    missing = [name for name, each in found.items() if each is None]
    names = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
    if not usable:
        return Score(nan, f"undefined, as each of these {otherwise}: {names}")
    note = f"without these, as each {otherwise}: {names}" if missing else ""
    return Score(sum(usable) / len(usable), note)


def share(hits: Tensor, count: Tensor) -> Score:
    """Return the share of hits."""
    return Score(float(hits.double() / count))


def of_arrays(function: Callable[..., Any], name: str) -> Metric:
    """Make a metric of a function ``(predictions, targets) -> float`` on NumPy arrays.

    It is called once with all labelled rows of a split; if it has a parameter ``probabilities``, it
    gets those too, and if it has one named ``weights``, how much each row counts: 1 unless the task
    has weighted_metrics. What would be perfect is not known, unless the function has an attribute
    ``best``; without it the metric is reported, but gives no score, and cannot be monitored.

    Args:
        function: The function.
        name: What to call the metric.

    Returns:
        The metric, for every kind of task.

    Raises:
        InputError: If ``best`` is not a finite number, or ``higher_is_better`` is not a truth
            value.
    """

    def call(rows: ScoredRows) -> Score:
        arrays = {} if not reads else {"probabilities": _array(rows.probabilities)}
        if weighs:
            ones = rows.target.new_ones(len(rows.target))
            arrays["weights"] = _array(ones if rows.weights is None else rows.weights)
        found = function(_array(rows.value), _array(rows.target), **arrays)
        try:
            value = float(found)
        except (TypeError, ValueError):
            raise InputError(
                f"the metric {name!r} returned {type(found).__name__}, expected one number"
            ) from None
        return Score(value, "the function returned NaN" if value != value else "")

    reads, weighs = (name in _parameters(function) for name in ("probabilities", "weights"))
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
    return Metric(name, call, None, perfect, higher, weighs=weighs)


def _added(own: Tensor, more: Tensor) -> Tensor:
    if own.shape == more.shape:
        return own + more
    missing = more.shape[-1] - own.shape[-1]
    return pad(own, [0, max(missing, 0)]) + pad(more, [0, max(-missing, 0)])


def _array(values: Tensor | None) -> Any:
    return None if values is None else values.cpu().numpy()


def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    try:
        return tuple(inspect.signature(function).parameters)
    except ValueError:  # written in C, without a signature
        return ()
