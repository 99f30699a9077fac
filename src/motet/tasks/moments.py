"""Means and spreads of numbers, which can be merged."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Moments(NamedTuple):
    """Of K outputs, float64; merged as Chan, Golub and LeVeque (1983) do."""

    counts: Tensor
    """Numbers that are there, (K,)."""
    means: Tensor
    """Of each output, (K,); 0 without any."""
    spreads: Tensor
    """Sum of the squared differences from that mean, (K,)."""

    @staticmethod
    def of(columns: Sequence[Tensor]) -> "Moments":
        """Find the moments of K outputs, each (N,) float64 without missing numbers."""
        means = [each.mean() if len(each) else each.new_zeros(()) for each in columns]
        spreads = [(each - mean).square().sum() for each, mean in zip(columns, means, strict=True)]
        counts = columns[0].new_tensor([len(each) for each in columns])
        return Moments(counts, torch.stack(means), torch.stack(spreads))

    def merged(self, other: "Moments") -> "Moments":
        """Return the moments of the numbers of both."""
        counts, apart = self.counts + other.counts, other.means - self.means
        share = other.counts / counts.clamp(min=1)
        return Moments(
            counts,
            self.means + apart * share,
            self.spreads + other.spreads + apart.square() * self.counts * share,
        )

    def mean_and_std(self) -> tuple[float, float]:
        """Return mean and standard deviation of the numbers of all outputs together."""
        count = self.counts.sum().clamp(min=1)
        mean = (self.counts * self.means).sum() / count
        spread = self.spreads + self.counts * (self.means - mean).square()
        return float(mean), float((spread.sum() / count).sqrt())
