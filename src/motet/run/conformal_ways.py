"""Intervals and sets by kind of label: what is scored, and which columns that gives.

`motet.analysis.conformal` has the mathematics; here are predictions in and columns out. Rows count
alike: with weights, coverage would hold only for new rows that are drawn with the same weights.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from motet.analysis.conformal import (
    class_scores,
    class_sets,
    fewest,
    quantile_scores,
    require,
    residual_scores,
    threshold,
)
from motet.analysis.numbers import Numbers
from motet.data.targets.base import Target
from motet.tasks import Prediction

MOST_SCORES = 2_000
"""Scores kept of each output; a sample of more rows is as valid, its coverage varies by 0.7 %."""


@dataclass(frozen=True)
class Scores:
    """What is kept of the calibration rows of a task."""

    of_outputs: tuple[Numbers, ...]
    """Sorted scores of each output, or of each label."""
    floors: tuple[float, ...] = ()
    """Median spread of each output, where predictions have one."""

    @staticmethod
    def joined(several: Sequence["Scores"]) -> "Scores | None":
        """Join scores of several sets of rows, without a spread; None if there are none."""
        outputs = zip(*(each.of_outputs for each in several), strict=True)
        found = tuple(_kept(np.concatenate(own)) for own in outputs)
        return Scores(found) if found else None


class Arrays(NamedTuple):
    """A `Prediction` as NumPy arrays."""

    value: Any
    probabilities: Any
    spread: Any


def as_arrays(found: Prediction) -> Arrays:
    """Return the arrays of a prediction."""
    return Arrays(*(None if each is None else each.cpu().numpy() for each in found))


class Way(ABC):
    """Intervals or sets of a kind of label."""

    @abstractmethod
    def scores(self, found: Arrays, target: NDArray[Any]) -> Scores:
        """Score the rows of calibration."""

    @abstractmethod
    def columns(
        self, scores: Scores, level: float, found: Arrays, target: Target
    ) -> dict[str, pa.Array]:
        """Return columns of intervals or sets by name."""

    def check(self, scores: Scores, level: float) -> None:
        """Check that there are enough scores of every output.

        Raises:
            InputError: If not.
        """
        for each in scores.of_outputs:
            require(len(each), level)


class Numeric(Way):
    """Numbers, one or several: the prediction ± a multiple of the scale of the row.

    The scale is 1; or where members of an ensemble predict, their spread plus its median, so that
    rows on which they agree by chance keep an interval.
    """

    def scores(self, found: Arrays, target: NDArray[Any]) -> Scores:
        values, truth = _columns(found.value), _columns(target)
        floors: tuple[float, ...] = ()
        if found.spread is not None and len(values):
            floors = tuple(np.median(_columns(found.spread), axis=0).tolist())
        scales = self._scales(found, floors)
        known = ~np.isnan(truth)
        return Scores(
            tuple(
                _kept(residual_scores(values[own, k], truth[own, k], scales[own, k]))
                for k, own in enumerate(known.T)
            ),
            floors,
        )

    def columns(
        self, scores: Scores, level: float, found: Arrays, target: Target
    ) -> dict[str, pa.Array]:
        values = _columns(found.value)
        limits = np.array([threshold(each, level) for each in scores.of_outputs])
        half = limits * self._scales(found, scores.floors)
        shape = np.shape(found.value)
        ends = {"low": self._lowest(values - half), "high": values + half}
        return {
            f"{name}_{end}": column
            for end, each in ends.items()
            for name, column in target.predictions(each.reshape(shape)).items()
        }

    def _scales(self, found: Arrays, floors: tuple[float, ...]) -> Numbers:
        if not floors:
            return np.ones_like(_columns(found.value))
        spread = _columns(found.spread) + np.array(floors)
        scales: Numbers = np.maximum(spread, np.finfo(np.float64).tiny)
        return scales

    def _lowest(self, low: Numbers) -> Numbers:
        return low


class Counted(Numeric):
    """Counts: the scale of a row is the square root of its prediction, as of Poisson counts."""

    def _scales(self, found: Arrays, floors: tuple[float, ...]) -> Numbers:
        own = np.sqrt(np.maximum(_columns(found.value), np.finfo(np.float64).tiny))
        scales: Numbers = own if not floors else own + super()._scales(found, floors)
        return scales

    def _lowest(self, low: Numbers) -> Numbers:
        return np.maximum(low, 0)


class Quantiles(Way):
    """Quantiles: from the lowest to the highest, both moved by the same amount."""

    def scores(self, found: Arrays, target: NDArray[Any]) -> Scores:
        value = found.value
        return Scores((_kept(quantile_scores(value[:, 0], value[:, -1], target)),))

    def columns(
        self, scores: Scores, level: float, found: Arrays, target: Target
    ) -> dict[str, pa.Array]:
        value = found.value
        limit, middle = threshold(scores.of_outputs[0], level), value.mean(axis=1)
        low, high = value[:, 0] - limit, value[:, -1] + limit  # cross if the threshold is negative
        return {
            f"{target.name}_low": pa.array(np.minimum(low, middle)),
            f"{target.name}_high": pa.array(np.maximum(high, middle)),
        }


class Classes(Way):
    """Classes: the set of those that cannot be excluded."""

    ordered: ClassVar[bool] = False

    def scores(self, found: Arrays, target: NDArray[Any]) -> Scores:
        return Scores((_kept(class_scores(found.probabilities, target.astype(np.int64))),))

    def columns(
        self, scores: Scores, level: float, found: Arrays, target: Target
    ) -> dict[str, pa.Array]:
        sets = class_sets(found.probabilities, threshold(scores.of_outputs[0], level))
        if self.ordered:  # all classes between two of a set
            after = np.maximum.accumulate(sets, axis=1)
            sets = after & np.maximum.accumulate(sets[:, ::-1], axis=1)[:, ::-1]
        places = np.arange(sets.shape[1])
        return {f"{target.name}_set": _lists(sets, target.predictions(places)[target.name])}


class Ordered(Classes):
    """Ordered classes: a set without gaps."""

    ordered = True


class Labels(Way):
    """Several labels for each row: those that cannot be excluded, each at the level by itself.

    A label is scored on the rows that have it, so a row's own labels are in its set with that
    probability each. Labels that too few rows have cannot be excluded at all.
    """

    def scores(self, found: Arrays, target: NDArray[Any]) -> Scores:
        pairs = zip(found.probabilities.T, target.T, strict=True)
        return Scores(tuple(_kept(1 - p[own == 1]) for p, own in pairs))

    def columns(
        self, scores: Scores, level: float, found: Arrays, target: Target
    ) -> dict[str, pa.Array]:
        needed = fewest(level)
        limits = [
            threshold(each, level) if len(each) >= needed else np.inf for each in scores.of_outputs
        ]
        sets = 1 - found.probabilities <= np.array(limits)
        return {f"{target.name}_set": target.predictions(sets.astype(np.int64))[target.name]}

    def check(self, scores: Scores, level: float) -> None:
        """Check that there are enough scores of some label."""
        require(max(map(len, scores.of_outputs)), level)


WAYS: Mapping[str, Way] = {
    "number": Numeric(),
    "count": Counted(),
    "quantile": Quantiles(),
    "class": Classes(),
    "ordinal": Ordered(),
    "indicators": Labels(),
}
"""By the name of the kind of label."""


def never_excluded(kind: str, scores: Scores, level: float, names: tuple[str, ...]) -> list[str]:
    """Return the labels that are in every set, as too few rows of calibration have them."""
    if kind != "indicators":
        return []
    needed = fewest(level)
    return [n for n, each in zip(names, scores.of_outputs, strict=True) if len(each) < needed]


def _kept(scores: Numbers) -> Numbers:
    """Return sorted scores, a sample of them if there are many."""
    if len(scores) > MOST_SCORES:
        scores = np.random.default_rng(0).choice(scores, MOST_SCORES, replace=False)
    found: Numbers = np.sort(scores.astype(np.float64))
    return found


def _columns(values: Any) -> Numbers:
    """Return numbers (N,) or (N, K) as (N, K)."""
    found: Numbers = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
    return found


def _lists(chosen: NDArray[np.bool_], values: pa.Array) -> pa.Array:
    ends = np.concatenate([[0], chosen.sum(axis=1).cumsum()]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), values.take(pa.array(np.nonzero(chosen)[1])))
