"""Which tasks train when, and on what: the one place that decides, for a step and epochs ahead."""

import math
from collections.abc import Sequence

from motet.data.batches import Batch
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.scheduling import Scheduler
from motet.training.plan import Part, Plan


class Planner:
    """Plans steps: enabled tasks, in the turns of the sharing scheme, as scheduled.

    Args:
        model: The model.
        scheduler: Chooses the tasks of each step.
        micro_batches: Number of micro-batches per step.
    """

    def __init__(
        self, model: MultiTaskModel, scheduler: Scheduler, *, micro_batches: int = 1
    ) -> None:
        self._model, self.scheduler = model, scheduler
        self._micro_batches = micro_batches

    def tasks_in(self, epoch: float) -> list[str]:
        """Return the tasks that train in an epoch, counted from 1; infinity is the last one."""
        return self._model.sharing.trained_at(epoch, self._model.active_tasks)

    def tasks_at(self, step: int, epoch: int) -> Sequence[str]:
        """Return the tasks that train at a step; asks the scheduler, so call it once per step.

        Args:
            step: Steps made before.
            epoch: The epoch in progress, counted from 1.

        Raises:
            InputError: If the scheduler chooses none, or others than those of the epoch.
        """
        tasks = self.tasks_in(epoch)
        chosen = self.scheduler.tasks_for(step, tasks)
        if chosen is not tasks and not (chosen and set(chosen) <= set(tasks)):
            raise InputError(
                f"scheduler {type(self.scheduler).__name__}: found {list(chosen)} at step {step}; "
                f"expected one or more of {', '.join(tasks)}"
            )
        return chosen

    def plan(self, batch: Batch, tasks: Sequence[str], step: int) -> Plan:
        """Return what a step computes.

        Args:
            batch: Rows of the data.
            tasks: The tasks that train, see `tasks_at`.
            step: Steps made before.
        """
        return Plan(step, (Part(batch, tasks),), (), self._micro_batches)

    @property
    def takes_turns(self) -> bool:
        """Whether other tasks train in the last epochs than in the first."""
        return self.tasks_in(1) != self.tasks_in(math.inf)

    def tasks_of_last_turn(self, epoch: int) -> set[str]:
        """Return the tasks that train in an epoch; none if others have their turn after them.

        Until then, the best weights so far would lack what later turns train.
        """
        trained, last = self.tasks_in(epoch), self.tasks_in(math.inf)
        return set(trained) if trained == last else set()

    def check(self, epochs: int) -> None:
        """Check that every enabled task trains in some epoch.

        Raises:
            InputError: If one does not.
        """
        trained = {task for epoch in range(1, epochs + 1) for task in self.tasks_in(epoch)}
        left = [task for task in self._model.active_tasks if task not in trained]
        if left and epochs:
            raise InputError(
                f"epochs: found {epochs}; expected enough for every task, as columns take turns "
                f"and {', '.join(left)} would not be trained; give more epochs, or fewer to each "
                "column"
            )
