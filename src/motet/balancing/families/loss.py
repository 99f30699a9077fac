"""Balancers that read losses."""

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from motet.balancing.families.balancer import Balancer, wrong_losses, wrong_result
from motet.balancing.families.uncompiled import uncompiled
from motet.problems import InputError


class LossBalancer(Balancer):
    """Combines the losses into one number to minimise: one backward pass for all tasks.

    A custom method defines one method::

        class Worst(LossBalancer):
            def forward(self, losses, present):
                return losses.max()
    """

    reads = "losses"

    fixed_weights: ClassVar[bool] = False
    """Whether the total is the sum of the losses that `forward` gets, at every step; `backward`
    then adds them up without a call of it."""

    @uncompiled
    def __call__(self, losses: Tensor, present: Tensor | None = None) -> Tensor:
        """Combine losses (T',) of the tasks that ``present`` (T',) indexes, all by default.

        Returns:
            The total to minimise, a scalar.

        Raises:
            InputError: If there is not one loss per present task, or `forward` does not return a
                scalar.
        """
        own = self.task_weights if present is None else self.task_weights[present]
        if present is None:
            present = torch.arange(len(self.tasks), device=losses.device)
        if losses.shape != present.shape:
            raise InputError(wrong_losses(losses, len(present)))
        self.count_step()
        total: Tensor = super().__call__(losses * own.to(losses), present)
        if not isinstance(total, Tensor) or total.dim() != 0:
            expected = "a scalar tensor: the total to minimise, e.g. the sum of the weighted losses"
            raise InputError(wrong_result(self, total, expected))
        return total

    @abstractmethod
    def forward(self, losses: Tensor, present: Tensor) -> Tensor:
        """Combine losses (T',), already times the task weights, into a scalar."""
