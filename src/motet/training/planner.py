"""Which tasks train when, and on what: the one place that decides, for a step and epochs ahead."""

import math
from collections.abc import Container, Sequence
from itertools import chain

import torch

from motet.data.batches import Batch
from motet.data.joining import Rows
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.processes import ALONE, Processes
from motet.scheduling import Scheduler
from motet.tasks import Auxiliary, Task
from motet.training.choices import Choice, Choices
from motet.training.frequencies import Frequencies
from motet.training.grouping import grouping, groups_of
from motet.training.plan import Part, Plan
from motet.training.source_parts import batches_of, can_join, drawn_for, passes_of
from motet.training.state import TrainingState
from motet.training.views import view_of


class Planner:
    """Plans steps: enabled tasks, in the turns of the sharing scheme, as scheduled.

    Args:
        model: The model.
        scheduler: Chooses among the tasks with labels at each step.
        device: Device of the batches.
        seed: Seed of the views of auxiliary tasks.
        micro_batches: Number of micro-batches per step.
        processes: The processes that make the step together.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        scheduler: Scheduler,
        *,
        device: torch.device,
        seed: int,
        micro_batches: int = 1,
        processes: Processes = ALONE,
    ) -> None:
        self._model, self.scheduler = model, scheduler
        self._device, self._seed, self._micro_batches = device, seed, micro_batches
        self._join = micro_batches == 1 and can_join(model)
        self._auxiliary = {task.name: task for task in model.tasks if isinstance(task, Auxiliary)}
        self.frequencies = Frequencies(model, seed, processes)
        divided = micro_batches > 1 or processes.several
        self._grouping = grouping(model.tasks) if divided else ()
        self.divides_batches = micro_batches == 1 and not self._auxiliary
        """Whether processes may be given their shares of batches: auxiliary tasks make views of
        whole ones, and the share of one process can be the whole of a micro-batch."""
        self.choices = Choices(scheduler)
        """Who trains on which rows at a step."""
        self.has_auxiliary = bool(self._auxiliary)
        """Whether there are auxiliary tasks."""
        self._from = {task.name: task.enabled_from for task in model.tasks if task.enabled_from > 1}
        self._latent = {task.name for task in model.tasks if task.latent}

    def tasks_in(self, epoch: float) -> list[str]:
        """Return the tasks that train in an epoch, counted from 1; infinity is the last one."""
        tasks = self._model.sharing.trained_at(epoch, self._model.active_tasks)
        return self._begun(tasks, epoch) if self._from or self._latent else tasks

    def labelled_in(self, epoch: float) -> list[str]:
        """Return those of `tasks_in` that have labels, among which the scheduler chooses."""
        tasks = self.tasks_in(epoch)
        return [t for t in tasks if t not in self._auxiliary] if self._auxiliary else tasks

    def auxiliary(self, choices: Sequence[Choice], state: TrainingState) -> list[str]:
        """Return the auxiliary tasks that train at a step; call it once per step.

        Args:
            choices: Those of the step.
            state: Where training is; its ``main_steps`` is updated.
        """
        tasks = [task for task in self.tasks_in(state.epoch + 1) if task in self._auxiliary]
        return self.frequencies.due(tasks, choices, state) if self.frequencies.given else tasks

    def plan(
        self, choices: Sequence[Choice], auxiliary: Sequence[str], step: int, epoch: int
    ) -> Plan:
        """Return what a step computes.

        Args:
            choices: Rows of the data, and the tasks with labels that train on them; rows of several
                sources are drawn for the tasks. Auxiliary tasks make their views of the first.
            auxiliary: The auxiliary tasks that train.
            step: Steps made before.
            epoch: The epoch in progress, counted from 1.

        Raises:
            InputError: If an auxiliary task makes views of a batch that processes have shares of.
        """
        (rows, tasks), *others = choices
        if not others and isinstance(rows, Batch) and not self._auxiliary:  # the fast path
            groups = groups_of(self._grouping, rows.targets) if self._grouping else None
            return Plan(step, (Part(rows, tasks, groups=groups),), (), self._micro_batches)
        due = [self._auxiliary[name] for name in auxiliary]
        if due and isinstance(rows, Batch) and rows.share is not None:
            raise InputError(
                f"found a batch of which each process has its share, and {due[0].name!r}, which "
                "makes views of whole batches; give every process the whole batch, or train "
                "without the task"
            )
        drawn = [drawn_for(rows, tasks, due), *(drawn_for(*each, ()) for each in others)]
        balanced = [
            part
            for place, (choice, batches) in enumerate(zip(choices, drawn, strict=True))
            for part in self._parts(choice, batches, f"choice/{place}" if place else "")
        ]
        views = [(t, self._view(t, b, step, epoch)) for t in due for b in batches_of(t, drawn[0])]
        balanced += [part for task, part in views if task.balanced]
        beside = [part for task, part in views if not task.balanced]
        return Plan(step, balanced, beside, self._micro_batches, tuple(chain(*drawn)))

    def ordered(self, tasks: Container[str]) -> list[str]:
        """Return tasks in the order of the model."""
        return [task for task in self._model.tasks.names if task in tasks]

    def _begun(self, tasks: Sequence[str], epoch: float) -> list[str]:
        begun = (task for task in tasks if self._from.get(task, 1) <= epoch)
        return [task for task in begun if task not in self._latent]

    def _parts(self, choice: Choice, drawn: Sequence[Batch], name: str) -> list[Part]:
        passes = passes_of(choice.rows, drawn, choice.tasks, join=self._join)
        return [self._part(*each, number, name) for number, each in enumerate(passes)]

    def _part(
        self,
        batch: Batch,
        tasks: Sequence[str],
        rows: Rows | None,
        number: int,
        name: str,
    ) -> Part:
        groups = groups_of(self._grouping, batch.targets) if self._grouping else None
        source = f"source/{batch.source}" if number else ""
        name = "/".join(filter(None, (name, source)))
        return Part(batch, tasks, name, groups=groups, rows=rows)

    def _view(self, task: Task, batch: Batch, step: int, epoch: int) -> Part:
        made = view_of(task, batch, seed=self._seed, step=step, device=self._device)
        name = "/".join(filter(None, (task.name, batch.source)))
        return Part(made, [task.name], name, task.weight_at(epoch))

    def never_scheduled(self, epoch: int) -> list[str]:
        """Return the tasks of an epoch that the scheduler has never chosen so far."""
        tasks = self.labelled_in(epoch)
        known = {*self.choices.ever, *self.scheduler.waiting(tasks)}
        return [task for task in tasks if task not in known]

    @property
    def takes_turns(self) -> bool:
        """Whether the sharing scheme trains other tasks in the last epochs than in the first."""
        turns, tasks = self._model.sharing.trained_at, self._model.active_tasks
        return turns(1, tasks) != turns(math.inf, tasks)

    def tasks_of_last_turn(self, epoch: int) -> set[str]:
        """Return the tasks with labels that train in an epoch; none if others begin after it.

        Until then, the best weights so far would lack what trains later: other columns of the
        sharing scheme, tasks enabled from a later epoch, or difficult tasks of a curriculum.
        """
        trained, last = self.labelled_in(epoch), self.labelled_in(math.inf)
        complete = trained == last and not self.scheduler.waiting(trained)
        return set(trained) if complete else set()

    def begun(self, epoch: int) -> set[str]:
        """Return the tasks that are enabled in an epoch, or were before."""
        return set(self._begun(self._model.active_tasks, epoch))

    def check(self, epochs: int) -> None:
        """Check that every epoch trains a task, and every enabled task trains in some epoch.

        Auxiliary tasks may not train after all others.

        Raises:
            InputError: If one does not.
        """
        last = self.tasks_in(math.inf)
        if self.takes_turns and self._auxiliary.keys() >= set(last):
            raise InputError(
                f"tasks: found the auxiliary task {', '.join(last)} in the last column, where no "
                "other task benefits from it; list it before the others"
            )
        self._check_beginnings(epochs)
        trained = [self.tasks_in(epoch) for epoch in range(1, epochs + 1)]
        left = [task for task in self._model.trained_tasks if not any(task in t for t in trained)]
        if left and epochs:
            raise InputError(
                f"found {epochs}; expected enough for every task, as columns take turns and "
                f"{', '.join(left)} would not be trained; give more epochs, or fewer to each "
                "column",
                option="epochs",
            )
        if [] in trained:
            raise InputError(
                f"no task is enabled in epoch {trained.index([]) + 1}; enable one from there on"
            )

    def _check_beginnings(self, epochs: int) -> None:
        for task in self._model.tasks:
            if epochs and task.enabled_from > epochs and task.name in self._model.active_tasks:
                raise InputError(
                    f"found from: {task.enabled_from}; expected at most {epochs}, where training "
                    "ends; give an earlier epoch, or more epochs",
                    option="enabled",
                    owner=f"task {task.name!r}",
                )
