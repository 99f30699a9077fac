"""Which tasks train when: the one place that decides it, for the step at hand and epochs ahead."""

import math
from collections.abc import Sequence

from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.scheduling import Scheduler, create
from motet.training.choices import MemberChoice, name_and_options


class Planner:
    """Decides which tasks train: enabled ones, in the turns of the sharing scheme, as scheduled.

    Args:
        model: The model.
        scheduler: Chooses the tasks of each step.
    """

    def __init__(self, model: MultiTaskModel, scheduler: Scheduler) -> None:
        self._model, self.scheduler = model, scheduler

    def tasks_in(self, epoch: float) -> list[str]:
        """Return the tasks that train in an epoch, counted from 1; infinity is the last one."""
        return self._model.sharing.trained_at(epoch, self._model.active_tasks)

    def tasks_at(self, step: int, epoch: int) -> Sequence[str]:
        """Return the tasks that train at a step.

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


def make_scheduler(choice: Scheduler | MemberChoice, model: MultiTaskModel) -> Scheduler:
    """Create the scheduler of a model's tasks.

    Returns:
        The scheduler; one that exists already as it is.

    Raises:
        InputError: If a name or option is unknown or wrong, or it is of other tasks.
    """
    names = model.tasks.names
    if not isinstance(choice, Scheduler):
        name, options = name_and_options(choice)
        return create(name, names, **options)
    if set(choice.tasks) != set(names):
        raise InputError(
            f"scheduling: found a scheduler of the tasks {', '.join(choice.tasks)}; expected those "
            f"of the model: {', '.join(names)}"
        )
    return choice
