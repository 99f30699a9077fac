"""Learning rates of an optimizer's groups, step by step."""

from typing import Any

from torch.optim import Optimizer

from motet.options import create, name_and_options
from motet.registry import LR_SCHEDULES
from motet.training.creating import MemberChoice
from motet.training.lr_schedules import LRSchedule


class LearningRates:
    """Lets every group's learning rate follow one schedule.

    Args:
        optimizer: The optimizer, its groups with their first learning rates.
        schedule: Name or options of the schedule.

    Raises:
        InputError: If the schedule is unknown or an option is wrong.
    """

    def __init__(self, optimizer: Optimizer, schedule: MemberChoice) -> None:
        self._optimizer = optimizer
        self._first = [group["lr"] for group in optimizer.param_groups]
        self._name, self._options = name_and_options(schedule)
        self._factor: LRSchedule | None = None
        self._create(1)  # so that a wrong option is an error now

    def begin(self, steps: int) -> None:
        """Follow the schedule over so many steps; before that, rates stay as they are."""
        self._factor = self._create(steps)

    def set(self, step: int) -> None:
        """Set the rates of a step, counted from 0."""
        if self._factor is not None:
            factor = self._factor(step)
            for group, first in zip(self._optimizer.param_groups, self._first, strict=True):
                group["lr"] = first * factor

    @property
    def highest(self) -> float:
        """The highest rate now, factors of single groups left out."""
        groups = self._optimizer.param_groups
        return max(float(group["lr"]) / float(group.get("rate", 1.0)) for group in groups)

    def left(self, step: int, total: int) -> float:
        """Return the share of the highest rate at a step if it would have fallen further, else 0.

        Args:
            step: The step, counted from 0.
            total: Steps in all.
        """
        if self._factor is None or step + 1 >= total:
            return 0.0
        highest = max(self._factor(each) for each in range(0, total, max(total // 100, 1)))
        now, last = self._factor(step), self._factor(total - 1)
        return now / highest if highest and last < now else 0.0

    def _create(self, steps: int) -> LRSchedule:
        schedule: Any = create(LR_SCHEDULES, self._name, steps, **self._options)
        created: LRSchedule = schedule
        return created
