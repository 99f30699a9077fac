"""The sum of the losses' logarithms."""

from typing import final

import torch
from torch import Tensor

from motet.balancing.families import LossBalancer
from motet.options import Sequence
from motet.problems import InputError


@final
class LogLoss(LossBalancer):
    """Minimise the sum of the losses' logarithms, so that no loss's scale matters.

    ::

        Σ log L_k:    w_k = 1 / L_k

    Long in use under several names, for example "scale-invariant". Losses must be positive; one
    that is 0 has no gradient.

    Raises:
        InputError: If a loss is negative (when called).
    """

    compares = False
    refuses_weight = (
        "a factor on a loss only adds a constant to its logarithm; use `equal` or `manual`"
    )

    def forward(self, losses: Tensor, present: Tensor) -> Tensor:
        return positive(losses, [self.tasks[index] for index in present]).log().sum()


def positive(losses: Tensor, tasks: Sequence[str]) -> Tensor:
    """Check that losses can be taken the logarithm of.

    Returns:
        The losses (T',), those that are 0 as the smallest positive number, without gradient.

    Raises:
        InputError: If a loss is negative. NaN passes on, so that the step can be skipped.
    """
    refuse_negative(losses, tasks)
    return losses.clamp(min=torch.finfo(losses.dtype).tiny)


def refuse_negative(losses: Tensor, tasks: Sequence[str]) -> None:
    """Raise an error if a loss (T',) is negative."""
    below = losses < 0
    if bool(below.any()):  # a device sync on GPUs
        names = ", ".join(task for task, low in zip(tasks, below.tolist(), strict=True) if low)
        raise InputError(
            f"the loss of {names} is negative, and has no logarithm; use a loss that is at least "
            "0, or another balancer"
        )
