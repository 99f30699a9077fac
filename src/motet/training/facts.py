"""What a scheduler needs to know of training: the one place that reads its ``needs``."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from motet.data.batches import Data
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.scheduling import Progress, Scheduler
from motet.training.intake import statistics_of
from motet.training.planner import Planner
from motet.training.state import TrainingState


@dataclass
class Pace:
    """How long training is, in epochs and batches, once that is known."""

    epochs: int | None = None
    """Epochs in all."""
    batches: int | None = None
    """Batches of the epoch in progress."""
    total: int = 0
    """Steps of the learning-rate schedule."""
    now: int = 0
    """The step of the schedule that is in progress, counted from 0."""

    def progress(self, state: TrainingState) -> Progress | None:
        """Return how far training is; None if that is unknown."""
        if self.epochs is None or self.batches is None:
            return None
        done = min(state.batch / max(self.batches, 1), 1.0)
        return Progress(state.epoch + 1, max(self.epochs, state.epoch + 1), done)

    @property
    def left(self) -> float:
        """The share of training that is left; all where its length is unknown."""
        return 1.0 - min(self.now / self.total, 1.0) if self.total else 1.0

    def position(self, state: TrainingState) -> int:
        """Return the step of the learning-rate schedule where a step takes several batches."""
        progress = self.progress(state)
        return 0 if progress is None else int(progress.share * self.total)


def introduce(scheduler: Scheduler, model: MultiTaskModel, seed: int) -> None:
    """Give a scheduler what it must know of the tasks, and the seed."""
    scheduler.facts.seed = seed
    if "priorities" in scheduler.needs:
        scheduler.facts.priorities = {task.name: task.priority for task in model.tasks}


def count_rows(scheduler: Scheduler, model: MultiTaskModel, train: Data) -> None:
    """Give a scheduler the number of labelled training rows of each task."""
    if "rows" in scheduler.needs:
        found = statistics_of(model.tasks, train)
        scheduler.facts.rows = {task: each.labelled for task, each in found.items()}


def report_progress(scheduler: Scheduler, pace: Pace, state: TrainingState) -> None:
    """Report to a scheduler how far training is."""
    if "progress" in scheduler.needs:
        found = scheduler.facts.progress = pace.progress(state)
        state.reported = [] if found is None else [found.epoch, found.epochs, found.done]


def report_last_progress(scheduler: Scheduler, pace: Pace, state: TrainingState) -> None:
    """Report to a scheduler what the last step did, which an evaluation after it may ask for."""
    if "progress" in scheduler.needs and state.reported:
        epoch, epochs, done = state.reported
        scheduler.facts.progress = Progress(int(epoch), int(epochs), done)
    else:
        report_progress(scheduler, pace, state)


def report_losses(scheduler: Scheduler, losses: Mapping[str, float]) -> None:
    """Report to a scheduler the losses of a step."""
    if "losses" in scheduler.needs:
        scheduler.observe_losses({task: losses[task] for task in scheduler.tasks if task in losses})


def report_scores(scheduler: Scheduler, scores: Mapping[str, float]) -> None:
    """Report to a scheduler the normalised scores of an evaluation, without those that are NaN."""
    if "scores" in scheduler.needs:
        scheduler.observe_scores({t: s for t, s in scores.items() if not math.isnan(s)})


def check_scores(scheduler: Scheduler, valid: Data | None) -> None:
    """Reject a scheduler that reads scores where nothing is evaluated.

    Raises:
        InputError: If there are no validation data.
    """
    if "scores" in scheduler.needs and valid is None:
        raise InputError(
            f"{type(scheduler).__name__} reads validation scores; found no validation data; give "
            "some (validation=, or split: {validation: 0.15}), or choose another scheduler or form",
            option="scheduling",
        )


def check_batch_size(planner: Planner, batch_size: int) -> None:
    """Reject batches that cannot have a row of every task, where each task has its own.

    Raises:
        InputError: If there are more tasks than rows.
    """
    tasks = planner.labelled_in(math.inf)
    if "own_rows" in planner.scheduler.needs and batch_size < len(tasks):
        raise InputError(
            f"found {batch_size}; expected at least {len(tasks)}, as each task gets an equal part "
            "of the batch",
            option="batch_size",
        )
