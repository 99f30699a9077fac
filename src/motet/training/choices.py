"""Who trains on which rows at a step: the choices of the scheduler, each with rows of its own.

A step has one choice, and so takes one batch. With ``combine: cycle`` it has as many as it takes
until every task was chosen; with a scheduler that needs ``own_rows``, each task gets its own batch.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from motet.data.batches import Batch, Draw
from motet.figures import counted
from motet.problems import InputError, shown
from motet.scheduling import Scheduler
from motet.training.state import TrainingState

MOST = 10_000
"""Draws after which a cycle that lacks a task is given up."""


class Choice(NamedTuple):
    """Rows of the data, and the tasks with labels that train on them; perhaps none."""

    rows: Batch | Draw
    tasks: Sequence[str]


class Choices:
    """Asks a scheduler, and takes the batches that its draws need.

    Args:
        scheduler: The scheduler.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.several = scheduler.combine is not None or "own_rows" in scheduler.needs
        """Whether a step takes several batches."""
        self.ever: set[str] = set()
        """The tasks that were chosen so far."""

    def of_step(
        self, tasks: Sequence[str], batches: Iterator[Batch | Draw], state: TrainingState
    ) -> list[Choice]:
        """Return the choices of a step; call it once per step.

        Args:
            tasks: The tasks with labels that train in this epoch.
            batches: Where rows are taken from, one batch for each choice.
            state: Where training is; its ``draws`` is updated.

        Raises:
            InputError: If the scheduler chooses no task or others, or batches are too few.
        """
        if not self.several or not tasks:
            return [Choice(next(batches), self._chosen(tasks, state.step) if tasks else ())]
        if self.scheduler.combine == "cycle":
            return self._cycle(tasks, batches, state)
        chosen = self._chosen(tasks, state.step)
        return [Choice(_next(batches, place), [name]) for place, name in enumerate(chosen)]

    def _cycle(
        self, tasks: Sequence[str], batches: Iterator[Batch | Draw], state: TrainingState
    ) -> list[Choice]:
        missing = set(tasks).difference(self.scheduler.waiting(tasks))
        found: list[Choice] = []
        while missing:
            chosen = self._chosen(tasks, state.draws)
            state.draws += 1
            found.append(Choice(_next(batches, len(found)), chosen))
            missing.difference_update(chosen)
            if len(found) == MOST:
                raise InputError(
                    f"scheduler {type(self.scheduler).__name__}: found no "
                    f"{', '.join(sorted(missing))} in {MOST:,} draws; a cycle ends when every task "
                    "was drawn; choose round_robin, or remove combine"
                )
        return found

    def _chosen(self, tasks: Sequence[str], step: int) -> Sequence[str]:
        chosen = self.scheduler.tasks_for(step, tasks)
        if chosen is not tasks:
            chosen = self._in_order(chosen, tasks, step)
        self.ever.update(chosen)
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


def _next(batches: Iterator[Batch | Draw], taken: int) -> Batch | Draw:
    batch = next(batches, None)
    if batch is None:
        raise InputError(
            f"found {counted(taken, 'batch')}; expected one for each of the "
            "step's choices of tasks, which are combined; give train_step an iterator that has "
            "more, or call fit or train_epoch"
        )
    return batch


def tasks_of(choices: Iterable[Choice]) -> set[str]:
    """Return all tasks of some choices."""
    return {task for choice in choices for task in choice.tasks}
