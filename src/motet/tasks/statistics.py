"""What is learned from the labels of a task, batch by batch: counts, moments, and a sample.

Counts and moments are of all labels. The sample holds all labelled rows up to 1,000,000; of more it
holds those with the smallest hashes of their numbers, so that it is the same for the same rows in
the same order, however they are split into batches.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from motet.row_hashes import row_hashes
from motet.states import join_rows
from motet.tasks.moments import Moments

MOST = 1_000_000
"""Rows of a sample."""


@dataclass(frozen=True)
class Sample:
    """Labelled rows in the order in which they were seen."""

    seen: int
    """How many there were."""
    parts: tuple[Tensor, ...]
    """Those that are held, (N, ...) together; they may be more than the sample in the end."""
    numbers: tuple[Tensor, ...] | None = None
    """Numbers of the rows of each part, counted from 0; None if all rows are held."""
    weighted: tuple[Tensor, ...] | None = None
    """Weights of the rows of each part, float64; None if rows have none."""

    @property
    def complete(self) -> bool:
        """Whether it holds all labelled rows."""
        return self.seen <= MOST

    @cached_property
    def rows(self) -> Tensor:
        """The labels of the sample, (N, ...); sequences are filled up to the longest."""
        return join_rows(self.parts if self.complete else self._thinned().parts)

    @property
    def weights(self) -> Tensor:
        """How much each row of the sample counts, (N,) float64."""
        return torch.cat((self if self.complete else self._thinned())._weights())

    def merged(self, other: "Sample") -> "Sample":
        """Return the sample of the rows of both.

        Parts of similar length are joined: N rows are at most about log N parts, and each is copied
        about log N times.
        """
        numbers = None
        if self.numbers is not None or other.numbers is not None:
            later = [each + self.seen for each in other._numbers()]
            numbers = _with_joined_ends((*self._numbers(), *later))
        parts = _with_joined_ends(self.parts + other.parts)
        weights = None
        if self.weighted is not None or other.weighted is not None:
            weights = _with_joined_ends((*self._weights(), *other._weights()))
        made = Sample(self.seen + other.seen, parts, numbers, weights)
        return made._thinned() if sum(map(len, parts)) > 2 * MOST else made

    def _numbers(self) -> tuple[Tensor, ...]:
        if self.numbers is not None:
            return self.numbers
        return torch.split(torch.arange(self.seen), [len(part) for part in self.parts])

    def _weights(self) -> tuple[Tensor, ...]:
        if self.weighted is not None:
            return self.weighted
        return tuple(torch.ones(len(part), dtype=torch.float64) for part in self.parts)

    def _thinned(self) -> "Sample":
        numbers = torch.cat(self._numbers())
        order = np.argsort(row_hashes(numbers.numpy()), kind="stable")[:MOST]
        chosen = torch.from_numpy(np.sort(order))
        joined = join_rows(self.parts)
        held = (joined[chosen.to(joined.device)],), (numbers[chosen],)
        if self.weighted is None:
            return Sample(self.seen, *held)
        weights = torch.cat(self.weighted)
        return Sample(self.seen, *held, (weights[chosen.to(weights.device)],))


def _with_joined_ends(parts: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Join the last parts until each is at least twice as long as the next."""
    left = list(parts)
    while len(left) > 1 and len(left[-2]) < 2 * len(left[-1]):
        left[-2:] = [join_rows(left[-2:])]
    return tuple(left)


class WeightSums(NamedTuple):
    """Of the weights of labelled rows."""

    rows: float
    """How many there are."""
    total: float
    """Sum of their weights."""
    squares: float
    """Sum of the squares of these."""
    elements: float
    """Labelled elements."""
    over_elements: float
    """Sum of the weights of these."""

    @staticmethod
    def of(weights: Tensor, elements: Tensor | None = None) -> "WeightSums":
        """Add up weights (N,), and those of the elements (N,) of each row, one each if left out."""
        rows, total = float(len(weights)), float(weights.sum())
        squares = float(weights.square().sum())
        if elements is None:
            return WeightSums(rows, total, squares, rows, total)
        over = float((weights * elements).sum())
        return WeightSums(rows, total, squares, float(elements.sum()), over)

    def merged(self, other: "WeightSums") -> "WeightSums":
        """Return the sums of both."""
        return WeightSums(*(own + more for own, more in zip(self, other, strict=True)))

    def mean(self, over: Literal["elements", "rows"]) -> float | None:
        """Return the mean weight; None without any."""
        number, total = (
            (self.rows, self.total) if over == "rows" else (self.elements, self.over_elements)
        )
        return total / number if number else None


@dataclass(frozen=True)
class LabelStatistics:
    """Of the labels of one task; those of batches are merged."""

    rows: int
    """Rows, with a label or without."""
    sample: Sample
    """Labelled rows."""
    totals: Tensor | None = None
    """Sums over labels (k, C), float64, by class; which ones depends on the kind of label."""
    moments: Moments | None = None
    """Of numbers."""
    elements: int = 0
    """Labelled elements."""
    weights: WeightSums | None = None
    """Of the weights of labelled rows, if rows have some."""
    weighted_totals: Tensor | None = None
    """As ``totals``, of the weights."""

    @property
    def labelled(self) -> int:
        """Rows with a label."""
        return self.sample.seen

    def totals_of(self, classes: int) -> Tensor:
        """Return the totals of so many classes, (k, classes), which may not all occur."""
        assert self.totals is not None  # the kind of label has classes
        return _widened(self.totals, classes)

    def unweighted(self) -> "LabelStatistics":
        """Return what is known of the labels without the weights of their rows."""
        if self.weights is None:
            return self
        return replace(self, weights=None, weighted_totals=None)

    def weighted_totals_of(self, classes: int) -> Tensor:
        """Return the totals of so many classes, where a row of mean weight counts 1."""
        if self.weights is None or self.weighted_totals is None or not self.weights.total:
            return self.totals_of(classes)
        return _widened(self.weighted_totals, classes) * (self.weights.rows / self.weights.total)

    def summary(self) -> dict[str, Any]:
        """Return the counts and moments, without the sample, as JSON can hold them."""
        found: dict[str, Any] = {"rows": self.rows, "labelled": self.labelled}
        if self.totals is not None:
            found["totals"] = self.totals.tolist()
        if self.moments is not None:
            found |= {name: each.tolist() for name, each in self.moments._asdict().items()}
        if self.weights is not None:
            found["weights"] = self.weights._asdict()
        return found

    def merged(self, other: "LabelStatistics") -> "LabelStatistics":
        """Return the statistics of the labels of both, this one's first."""
        moments = self.moments
        if moments is not None and other.moments is not None:
            moments = moments.merged(other.moments)
        found = LabelStatistics(
            self.rows + other.rows,
            self.sample.merged(other.sample),
            _added(self.totals, other.totals),
            moments,
            self.elements + other.elements,
        )
        if self.weights is None and other.weights is None:
            return found
        weights = self._weight_sums().merged(other._weight_sums())
        totals = _added(self._weight_totals(), other._weight_totals())
        return replace(found, weights=weights, weighted_totals=totals)

    def _weight_sums(self) -> WeightSums:
        if self.weights is not None:
            return self.weights
        rows, elements = float(self.labelled), float(self.elements)
        return WeightSums(rows, rows, rows, elements, elements)

    def _weight_totals(self) -> Tensor | None:
        return self.totals if self.weights is None else self.weighted_totals


def count_classes(places: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return how often each place of a class occurs, or the sum of its weights, float64."""
    return torch.bincount(places, weights).double()


def stacked(totals: Sequence[Tensor]) -> Tensor:
    """Stack totals (C,) of different lengths, (k, C)."""
    width = max(len(each) for each in totals)
    return torch.stack([pad(each, [0, width - len(each)]) for each in totals])


def _added(own: Tensor | None, other: Tensor | None) -> Tensor | None:
    if own is None or other is None:
        return own
    width = max(own.shape[1], other.shape[1])
    return _widened(own, width) + _widened(other, width)


def _widened(totals: Tensor, width: int) -> Tensor:
    return pad(totals, [0, max(0, width - totals.shape[1])])
