"""The interface of schedulers: which tasks train at a step.

A scheduler that draws at random seeds a generator with (seed, step), so that a resumed run draws
what an uninterrupted one would have drawn. Any other memory is a buffer, which is saved in
checkpoints.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import nn


class Scheduler(nn.Module, ABC):
    """Chooses the tasks of each training step.

    Args:
        tasks: Names of all tasks of the model.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__()
        self.tasks = tuple(tasks)

    @abstractmethod
    def tasks_for(self, step: int, tasks: Sequence[str]) -> Sequence[str]:
        """Return the tasks that train at a step, at least one; called once per step, in order.

        Args:
            step: Steps made before.
            tasks: The tasks to choose from: those that are enabled and that the sharing scheme
                trains in this epoch.
        """
