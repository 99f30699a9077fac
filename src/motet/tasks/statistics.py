"""What is learned from the labels of a task, batch by batch: counts, moments, and a sample.

Counts and moments are of all labels. The sample holds all labelled rows up to 1,000,000; of more it
holds those with the smallest hashes of their numbers, so that it is the same for the same rows in
the same order, however they are split into batches.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

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

    @property
    def complete(self) -> bool:
        """Whether it holds all labelled rows."""
        return self.seen <= MOST

    @cached_property
    def rows(self) -> Tensor:
        """The labels of the sample, (N, ...); sequences are filled up to the longest."""
        return join_rows(self.parts if self.complete else self._thinned().parts)

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
        made = Sample(self.seen + other.seen, parts, numbers)
        return made._thinned() if sum(map(len, parts)) > 2 * MOST else made

    def _numbers(self) -> tuple[Tensor, ...]:
        if self.numbers is not None:
            return self.numbers
        return torch.split(torch.arange(self.seen), [len(part) for part in self.parts])

    def _thinned(self) -> "Sample":
        numbers = torch.cat(self._numbers())
        order = np.argsort(row_hashes(numbers.numpy()), kind="stable")[:MOST]
        chosen = torch.from_numpy(np.sort(order))
        joined = join_rows(self.parts)
        return Sample(self.seen, (joined[chosen.to(joined.device)],), (numbers[chosen],))


def _with_joined_ends(parts: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Join the last parts until each is at least twice as long as the next."""
    left = list(parts)
    while len(left) > 1 and len(left[-2]) < 2 * len(left[-1]):
        left[-2:] = [join_rows(left[-2:])]
    return tuple(left)


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

    @property
    def labelled(self) -> int:
        """Rows with a label."""
        return self.sample.seen

    def totals_of(self, classes: int) -> Tensor:
        """Return the totals of so many classes, (k, classes), which may not all occur."""
        assert self.totals is not None  # the kind of label has classes
        return _widened(self.totals, classes)

    def summary(self) -> dict[str, Any]:
        """Return the counts and moments, without the sample, as JSON can hold them."""
        found: dict[str, Any] = {"rows": self.rows, "labelled": self.labelled}
        if self.totals is not None:
            found["totals"] = self.totals.tolist()
        if self.moments is not None:
            found |= {name: each.tolist() for name, each in self.moments._asdict().items()}
        return found

    def merged(self, other: "LabelStatistics") -> "LabelStatistics":
        """Return the statistics of the labels of both, this one's first."""
        totals, moments = self.totals, self.moments
        if totals is not None and other.totals is not None:
            width = max(totals.shape[1], other.totals.shape[1])
            totals = _widened(totals, width) + _widened(other.totals, width)
        if moments is not None and other.moments is not None:
            moments = moments.merged(other.moments)
        sample = self.sample.merged(other.sample)
        return LabelStatistics(self.rows + other.rows, sample, totals, moments)


def count_classes(places: Tensor) -> Tensor:
    """Return how often each place of a class occurs, float64."""
    return torch.bincount(places).double()


def stacked(totals: Sequence[Tensor]) -> Tensor:
    """Stack totals (C,) of different lengths, (k, C)."""
    width = max(len(each) for each in totals)
    return torch.stack([pad(each, [0, width - len(each)]) for each in totals])


def _widened(totals: Tensor, width: int) -> Tensor:
    return pad(totals, [0, max(0, width - totals.shape[1])])
