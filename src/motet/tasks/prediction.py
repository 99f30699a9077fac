"""What a task predicts."""

from typing import NamedTuple

from torch import Tensor


class Prediction(NamedTuple):
    """What a task predicts for each row of a batch."""

    value: Tensor
    """Class index (B,) int64; number(s) in original units (B,) or (B, K) float64; 0/1 (B, C); or
    tags (B, L) int64, -100 where there is no word."""
    probabilities: Tensor | None = None
    """Of each class or label (B, C), where the task has them."""
