"""Weights set by hand."""

from typing import final

from torch import Tensor

from motet.balancing.families import LossBalancer, by_task
from motet.options import Mapping, PositiveFloat, Sequence, checked


@final
class Manual(LossBalancer):
    """Add up the losses, each times a given weight; `set_weight` changes it during training.

    Args:
        tasks: Names of the tasks.
        weights: A weight for each task, by name. A task's own ``weight`` multiplies it.

    Raises:
        InputError: If a task has no weight, or a weight names no task.
    """

    fixed_weights = True

    @checked
    def __init__(self, tasks: Sequence[str], *, weights: Mapping[str, PositiveFloat]) -> None:
        super().__init__(tasks)
        for index, weight in by_task(weights, tasks, "weights", complete=True):
            self.task_weights[index] = weight

    def forward(self, losses: Tensor, present: Tensor) -> Tensor:
        return losses.sum()
