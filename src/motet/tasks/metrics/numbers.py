"""Metrics of numbers: they keep sums of errors, of each output.

Outputs are averaged with equal weight. The sums of a batch are those of `torch.Tensor.sum`, in
float64; those of several batches differ from the sums over all rows at once by rounding alone.
"""

from collections.abc import Callable, Iterator
from math import sqrt
from typing import NamedTuple

import torch
from torch import Tensor

from motet.quantile_levels import middle
from motet.tasks.metric import Score, ScoredRows, gathering, macro
from motet.tasks.moments import Moments

_NUMBERS = ("number", "count", "interval", "word_numbers", "pixel_numbers")
_OTHERWISE = "has a constant target or no label"


@gathering(*_NUMBERS, "ordinal", "quantile", best=0.0)
def mae(rows: ScoredRows) -> "Errors":
    """Return the mean absolute error, averaged over outputs; of ordered classes, in places.

    Of quantiles, that of the middle one.
    """
    return Errors.of(rows, torch.abs, float)


@gathering(*_NUMBERS, best=0.0)
def rmse(rows: ScoredRows) -> "Errors":
    """Return the root of the mean squared error, averaged over outputs."""
    return Errors.of(rows, torch.square, sqrt)


@gathering(*_NUMBERS)
def r2(rows: ScoredRows) -> "Explained":
    """Return 1 - squared error / squared error of the split's own mean, averaged over outputs.

    Not clamped: worse than the mean is below 0. A constant target has none.
    """
    return Explained.of(rows)


class Errors(NamedTuple):
    """Sums of a function of the errors."""

    names: list[str]
    """Of the K outputs."""
    sums: Tensor
    """(K,)."""
    counts: Tensor
    """Labels that are there, (K,)."""
    of_mean: Callable[[float], float]
    """From the mean of an output to its score."""

    @staticmethod
    def of(
        rows: ScoredRows,
        of_error: Callable[[Tensor], Tensor],
        of_mean: Callable[[float], float],
    ) -> "Errors":
        """Add up ``of_error`` over rows."""
        names, sums, counts = [], [], []
        for name, found, truth, _ in known_outputs(rows):
            names.append(name)
            sums.append(of_error(found - truth).sum())
            counts.append(len(truth))
        return Errors(names, torch.stack(sums), sums[0].new_tensor(counts), of_mean)

    def merged(self, other: "Errors") -> "Errors":
        sums, counts = self.sums + other.sums, self.counts + other.counts
        return self._replace(sums=sums, counts=counts)

    def score(self) -> Score:
        means = (self.sums / self.counts).tolist()
        scores = [self.of_mean(mean) if mean == mean else None for mean in means]
        return macro(zip(self.names, scores, strict=True), _OTHERWISE)


class Explained(NamedTuple):
    """Squared errors, and the spread of the labels."""

    names: list[str]
    """Of the K outputs."""
    labels: Moments
    """Of the labels."""
    errors: Tensor
    """Sum of the squared errors, (K,)."""
    low: Tensor
    """Smallest label, (K,); inf without any."""
    high: Tensor
    """Largest label, (K,); -inf without any."""

    @staticmethod
    def of(rows: ScoredRows) -> "Explained":
        """Add up over rows."""
        names, found, truths, _ = zip(*known_outputs(rows), strict=True)
        errors = [(a - b).square().sum() for a, b in zip(found, truths, strict=True)]
        edge = truths[0].new_tensor([torch.inf])
        return Explained(
            list(names),
            Moments.of(truths),
            torch.stack(errors),
            torch.stack([torch.cat([each, edge]).min() for each in truths]),
            torch.stack([torch.cat([each, -edge]).max() for each in truths]),
        )

    def merged(self, other: "Explained") -> "Explained":
        return Explained(
            self.names,
            self.labels.merged(other.labels),
            self.errors + other.errors,
            torch.minimum(self.low, other.low),
            torch.maximum(self.high, other.high),
        )

    def score(self) -> Score:
        differ = (self.low < self.high).tolist()
        found = (1 - self.errors / self.labels.spreads).tolist()
        scores = [each if usable else None for each, usable in zip(found, differ, strict=True)]
        return macro(zip(self.names, scores, strict=True), _OTHERWISE)


def known_outputs(rows: ScoredRows) -> Iterator[tuple[str, Tensor, Tensor, Tensor]]:
    """Yield each output of rows whose predictions and labels are numbers; of quantiles, the middle.

    Yields:
        Its name, predictions and truth of the rows that have it, float64, and which rows those are.
    """
    values, targets = rows.value.double(), rows.target.double()
    if rows.levels:
        values = values[:, middle(rows.levels)]
    if targets.ndim == 1:
        values, targets = values.unsqueeze(1), targets.unsqueeze(1)
    for index, known in enumerate(~targets.isnan().T):
        yield rows.name(index), values[known, index], targets[known, index], known
