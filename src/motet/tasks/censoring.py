"""What regression does with labels that are intervals: their likelihood, with a learned scale."""

import math
from functools import partial
from typing import Literal, final

import torch
from torch import Tensor, nn

from motet.problems import InputError, RowError
from motet.tasks.learned_scale import LearnedScale
from motet.tasks.losses.censored import gaussian, is_exact, laplace
from motet.tasks.losses.elements import Reduction, reduced

SMALLEST = 0.01
"""Smallest scale, in the unit of the target: standard deviations, where it is standardised."""
_HIGHEST = {"mse": 1 / (math.sqrt(2 * math.pi) * SMALLEST), "mae": 1 / (2 * SMALLEST)}
_LIKELIHOODS = {"mse": gaussian, "mae": laplace}


@final
class Censoring(nn.Module):
    """The likelihood that a loss stands for: Gaussian for mse, Laplace for mae.

    A number's loss is relative to the highest density that there can be, so that no loss is
    negative.

    Args:
        loss: mse or mae.
    """

    def __init__(self, loss: Literal["mse", "mae"]) -> None:
        super().__init__()
        self.likelihood = loss
        self.scale = LearnedScale(math.log(SMALLEST), 5.0)

    def forward(self, raw: Tensor, target: Tensor, *, reduction: Reduction = "none") -> Tensor:
        """Return losses (B,), or their sum, of raw outputs (B,) and intervals (B, 2)."""
        function = partial(_LIKELIHOODS[self.likelihood], log_scale=self.scale())
        highest = math.log(_HIGHEST[self.likelihood])
        return reduced(function(raw, target) + highest * is_exact(target), reduction)


def numbers_of(target: Tensor) -> Tensor:
    """Return the numbers among intervals (B, 2), and NaN for bounds, (B,); (B,) stays."""
    return target if target.ndim == 1 else target[:, 0].where(is_exact(target), torch.nan)


def check_intervals(task: str, target: Tensor) -> None:
    """Check labels that are intervals.

    Args:
        task: Name of the task.
        target: The labels.

    Raises:
        InputError: If they have another shape.
        RowError: If the lower end is above the higher one, or a label has no finite end.
    """
    if target.ndim != 2 or target.shape[1] != 2:
        raise InputError(
            f"task {task!r}: the labels have the shape {tuple(target.shape)}, expected (B, 2), the "
            "low and the high end of what is known; both are equal where a label is exact"
        )
    low, high = target.unbind(dim=1)
    wrong = (low > high) | (low.isinf() & high.isinf()) | (low.isnan() != high.isnan())
    if bool(wrong.any()):
        row = int(wrong.nonzero()[0])
        raise RowError(
            f"task {task!r}: found the interval {target[row].tolist()} in",
            row,
            ", expected [low, high], at least one of them finite, or NaN for both where missing",
        )
