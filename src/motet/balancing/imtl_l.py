"""Impartial multi-task learning, loss balance."""

from collections.abc import Mapping
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from motet.balancing.bounds import bounded
from motet.balancing.families import LossBalancer
from motet.balancing.log import refuse_negative
from motet.options import Sequence, checked


@final
class IMTLL(LossBalancer):
    """Scale losses until all are equally large (Liu et al., ICLR 2021).

    Each task has a learned s::

        Σ exp(s_k) L_k - s_k    so that at the optimum every exp(s_k) L_k = 1

    We differ in one point: s is held in [-10, 10], so that a loss near 0 cannot send a weight to
    infinity. What a step of the optimizer takes out of that range is reset to the bound at the
    next call, so s leaves the bound at the first step whose gradient points inwards.

    The ``log_scale`` parameters (T,) belong in an optimizer group without weight decay;
    `motet.Trainer` sees to that.

    Args:
        tasks: Names of the tasks.

    Raises:
        InputError: If a loss is negative (when called): no scale makes it 1.
    """

    task_axes: ClassVar[Mapping[str, int]] = {"log_scale": 1}
    compares = False
    refuses_weight = (
        "the learned scales undo it (at their optimum the weight is 1 / L, whatever the task "
        "weight); use `equal` or `manual`"
    )

    @checked
    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(tasks)
        self.log_scale = nn.Parameter(torch.zeros(len(self.tasks)))

    def forward(self, losses: Tensor, present: Tensor) -> Tensor:
        refuse_negative(losses, [self.tasks[index] for index in present])
        s = bounded(self.log_scale)[present]
        return (torch.exp(s) * losses - s).sum()
