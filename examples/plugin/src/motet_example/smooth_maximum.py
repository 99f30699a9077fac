"""A balancer: the task with the largest loss counts most."""

from collections.abc import Sequence
from typing import final

from torch import Tensor

from motet.balancing import LossBalancer
from motet.options import PositiveFloat, checked


@final
class SmoothMaximum(LossBalancer):
    """Minimise the log-sum-exp of the losses, a smooth maximum.

    Args:
        tasks: Names of the tasks.
        sharpness: How near to the maximum; near 0 all tasks count alike.
    """

    @checked
    def __init__(self, tasks: Sequence[str], *, sharpness: PositiveFloat = 1.0) -> None:
        super().__init__(tasks)
        self.sharpness = sharpness

    def forward(self, losses: Tensor, present: Tensor) -> Tensor:
        return (self.sharpness * losses).logsumexp(dim=0) / self.sharpness
