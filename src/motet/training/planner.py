"""Which tasks train when, and on what: the one place that decides, for a step and epochs ahead."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from motet.data.batches import Batch, Draw
from motet.model import MultiTaskModel
from motet.problems import InputError, shown
from motet.scheduling import Scheduler
from motet.tasks import Auxiliary, Task
from motet.training.frequencies import Frequencies
from motet.training.grouping import grouping, groups_of
from motet.training.plan import Part, Plan
from motet.training.source_parts import batches_of, drawn_for, passes_of, reads_any_number
from motet.training.views import view_of


class Planner:
    """Plans steps: enabled tasks, in the turns of the sharing scheme, as scheduled.

    Args:
        model: The model.
        scheduler: Chooses among the tasks with labels at each step.
        device: Device of the batches.
        seed: Seed of the views of auxiliary tasks.
        micro_batches: Number of micro-batches per step.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        scheduler: Scheduler,
        *,
        device: torch.device,
        seed: int,
        micro_batches: int = 1,
    ) -> None:
        self._model, self.scheduler = model, scheduler
        self._device, self._seed, self._micro_batches = device, seed, micro_batches
        self._numbers = [task.name for task in model.tasks if reads_any_number(task)]
        self._auxiliary = {task.name: task for task in model.tasks if isinstance(task, Auxiliary)}
        self.frequencies = Frequencies(model, seed)
        self._grouping = grouping(model.tasks) if micro_batches > 1 else ()
        self._scheduled_ever: set[str] = set()

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
        if not self._auxiliary:
            return self._scheduled(tasks, step)
        labelled = [task for task in tasks if task not in self._auxiliary]
        auxiliary = [task for task in tasks if task in self._auxiliary]
        return [*(self._scheduled(labelled, step) if labelled else ()), *auxiliary]

    def plan(self, rows: Batch | Draw, tasks: Sequence[str], step: int, epoch: int) -> Plan:
        """Return what a step computes.

        Args:
            rows: Rows of the data; those of several sources are drawn for the tasks.
            tasks: The tasks that train, see `tasks_at`.
            step: Steps made before.
            epoch: The epoch in progress, counted from 1.
        """
        if isinstance(rows, Batch) and not self._auxiliary:
            groups = groups_of(self._grouping, rows.targets) if self._grouping else None
            return Plan(step, (Part(rows, tasks, groups=groups),), (), self._micro_batches)
        labelled = [task for task in tasks if task not in self._auxiliary]
        auxiliary = [self._auxiliary[name] for name in tasks if name in self._auxiliary]
        drawn = drawn_for(rows, labelled, auxiliary)
        passes = passes_of(rows, drawn, labelled, self._numbers)
        balanced = [self._part(batch, own, number) for number, (batch, own) in enumerate(passes)]
        beside: list[Part] = []
        for task in auxiliary:
            for batch in batches_of(task, drawn):
                part = self._view(task, batch, step, epoch)
                (balanced if task.balanced else beside).append(part)
        return Plan(step, balanced, beside, self._micro_batches, tuple(drawn))

    def _part(self, batch: Batch, tasks: Sequence[str], number: int = 0) -> Part:
        groups = groups_of(self._grouping, batch.targets) if self._grouping else None
        name = f"source/{batch.source}" if number else ""
        return Part(batch, tasks, name, groups=groups)

    def _view(self, task: Task, batch: Batch, step: int, epoch: int) -> Part:
        made = view_of(task, batch, seed=self._seed, step=step, device=self._device)
        name = "/".join(filter(None, (task.name, batch.source)))
        return Part(made, [task.name], name, task.weight_at(epoch))

    def _scheduled(self, tasks: Sequence[str], step: int) -> Sequence[str]:
        chosen = self.scheduler.tasks_for(step, tasks)
        if chosen is not tasks:
            chosen = self._in_order(chosen, tasks, step)
        self._scheduled_ever.update(chosen)
        return chosen

    def _in_order(self, chosen: Any, tasks: Sequence[str], step: int) -> Sequence[str]:
        several = isinstance(chosen, Iterable) and not isinstance(chosen, str)
        names = list(chosen) if several else []
        if not names or not set(names) <= set(tasks):
            raise InputError(
                f"scheduler {type(self.scheduler).__name__}: found "
                f"{names if several else shown(chosen)} at step {step}; expected one or more of "
                f"{', '.join(tasks)}, in a list"
            )
        return [task for task in tasks if task in names]

    def never_scheduled(self, epoch: int) -> list[str]:
        """Return the tasks of an epoch that the scheduler has never chosen so far."""
        known = {*self._auxiliary, *self._scheduled_ever}
        return [task for task in self.tasks_in(epoch) if task not in known]

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
        """Check that every enabled task trains in some epoch, and others after auxiliary ones.

        Raises:
            InputError: If one does not.
        """
        last = self.tasks_in(math.inf)
        if self.takes_turns and self._auxiliary.keys() >= set(last):
            raise InputError(
                f"tasks: found the auxiliary task {', '.join(last)} in the last column, where no "
                "other task benefits from it; list it before the others"
            )
        trained = {task for epoch in range(1, epochs + 1) for task in self.tasks_in(epoch)}
        left = [task for task in self._model.active_tasks if task not in trained]
        if left and epochs:
            raise InputError(
                f"found {epochs}; expected enough for every task, as columns take turns and "
                f"{', '.join(left)} would not be trained; give more epochs, or fewer to each "
                "column",
                option="epochs",
            )
