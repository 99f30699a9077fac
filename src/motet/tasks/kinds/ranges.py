"""Smallest and largest predictions and labels, from which constant predictions are seen."""

from typing import NamedTuple

import torch
from torch import Tensor


class Ranges(NamedTuple):
    """Of each of K outputs, float64; those of batches are merged."""

    low: Tensor
    """Smallest prediction, (K,)."""
    high: Tensor
    """Largest prediction, (K,)."""
    label_low: Tensor
    """Smallest label, (K,); inf if none is there."""
    label_high: Tensor
    """Largest label, (K,); -inf if none is there."""
    total: Tensor
    """Sum of the predictions, (K,)."""
    rows: int

    @property
    def constant(self) -> Tensor:
        """Which outputs are predicted the same in every row, (K,)."""
        return self.low == self.high

    @property
    def varied(self) -> Tensor:
        """Which outputs have labels that differ, (K,)."""
        return self.label_low < self.label_high

    def merged(self, other: "Ranges") -> "Ranges":
        """Return the ranges of the rows of both."""
        return Ranges(
            torch.minimum(self.low, other.low),
            torch.maximum(self.high, other.high),
            torch.minimum(self.label_low, other.label_low),
            torch.maximum(self.label_high, other.label_high),
            self.total + other.total,
            self.rows + other.rows,
        )


def ranges_of(value: Tensor, labels: Tensor) -> Ranges:
    """Find the ranges of predictions and labels (N, K), N at least 1, NaN where one is missing."""
    value, labels = value.double(), labels.double()
    known = ~labels.isnan()
    return Ranges(
        value.amin(dim=0),
        value.amax(dim=0),
        labels.where(known, torch.inf).amin(dim=0),
        labels.where(known, -torch.inf).amax(dim=0),
        value.sum(dim=0),
        len(value),
    )
