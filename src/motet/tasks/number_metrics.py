"""Metrics of numbers: they keep sums of errors, of each output.

Outputs are averaged with equal weight. The sums of a batch are those of `torch.Tensor.sum`, in
float64; those of several batches differ from the sums over all rows at once by rounding alone.
"""

from collections.abc import Callable, Iterator
from math import sqrt
from typing import NamedTuple

import torch
from torch import Tensor

from motet.tasks.metric import Score, ScoredRows, gathering, macro

_OTHERWISE = "has a constant target or no label"


@gathering("number", best=0.0)
def mae(rows: ScoredRows) -> "Errors":
    """Return the mean absolute error, averaged over outputs."""
    return Errors.of(rows, torch.abs, float)


@gathering("number", best=0.0)
def rmse(rows: ScoredRows) -> "Errors":
    """Return the root of the mean squared error, averaged over outputs."""
    return Errors.of(rows, torch.square, sqrt)


@gathering("number")
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
        for name, found, truth in _outputs(rows):
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
    """Squared errors, and the spread of the labels; merged as Chan et al. (1979) do."""

    names: list[str]
    """Of the K outputs."""
    counts: Tensor
    """Labels that are there, (K,)."""
    means: Tensor
    """Of the labels, (K,); 0 without any."""
    spreads: Tensor
    """Sum of the squared differences from that mean, (K,)."""
    errors: Tensor
    """Sum of the squared errors, (K,)."""
    low: Tensor
    """Smallest label, (K,)."""
    high: Tensor
    """Largest label, (K,)."""

    @staticmethod
    def of(rows: ScoredRows) -> "Explained":
        """Add up over rows."""
        names, columns = [], []
        for name, found, truth in _outputs(rows):
            names.append(name)
            if not len(truth):
                zero, infinite = truth.new_zeros(()), truth.new_tensor(torch.inf)
                columns.append((zero, zero, zero, zero, infinite, -infinite))
                continue
            mean = truth.mean()
            spread, error = (truth - mean).square().sum(), (found - truth).square().sum()
            count = truth.new_tensor(len(truth))
            columns.append((count, mean, spread, error, truth.min(), truth.max()))
        return Explained(names, *map(torch.stack, zip(*columns, strict=True)))

    def merged(self, other: "Explained") -> "Explained":
        counts, apart = self.counts + other.counts, other.means - self.means
        share = other.counts / counts.clamp(min=1)
        return Explained(
            self.names,
            counts,
            self.means + apart * share,
            self.spreads + other.spreads + apart.square() * self.counts * share,
            self.errors + other.errors,
            torch.minimum(self.low, other.low),
            torch.maximum(self.high, other.high),
        )

    def score(self) -> Score:
        differ = (self.low < self.high).tolist()
        found = (1 - self.errors / self.spreads).tolist()
        scores = [each if usable else None for each, usable in zip(found, differ, strict=True)]
        return macro(zip(self.names, scores, strict=True), _OTHERWISE)


def _outputs(rows: ScoredRows) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield name, predictions and truth of each output, float64, over the rows that have it."""
    values, targets = rows.value.double(), rows.target.double()
    if targets.ndim == 1:
        values, targets = values.unsqueeze(1), targets.unsqueeze(1)
    for index, known in enumerate(~targets.isnan().T):
        yield rows.name(index), values[known, index], targets[known, index]
