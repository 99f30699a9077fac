"""Evaluations during training: the monitored value, and whether it is the best so far."""

import math
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from motet.data.batches import Data
from motet.model import MultiTaskModel
from motet.training import facts
from motet.training.evaluation import Report
from motet.training.intervals import due_tasks, with_last
from motet.training.monitor import (
    monitored_loss,
    monitored_tasks,
    monitored_value,
    smoothed_value,
)
from motet.training.needs import report_scores
from motet.training.setup import Setup
from motet.training.state import TrainingState


@dataclass(frozen=True)
class Validation:
    """One evaluation on the validation data."""

    report: Report
    """Of the tasks that were due."""
    score: float
    """Mean normalised score of the main tasks, with the last score of those that were not due."""
    monitored: float | None
    """The monitored value, smoothed where that is asked for; higher is better. None before the
    tasks begin that it depends on."""
    best: bool
    """Whether it is the best so far; the model is then in ``state.best_model``."""


class Watch(NamedTuple):
    """What is monitored and kept; see `motet.training.TrainingOptions`."""

    monitor: str
    keep: str
    patience: int | None
    smoothing: float


def validate(
    valid: Data,
    setup: Setup,
    state: TrainingState,
    evaluate: Callable[[Data, list[str]], Report],
    watch: Watch,
) -> Validation | None:
    """Evaluate the tasks that are due, keep the best model, and decide whether to stop.

    With an average of weights, that is what is evaluated and kept.

    Args:
        valid: The validation data.
        setup: What is trained.
        state: Where training is; it is updated.
        evaluate: Evaluates some tasks on data.
        watch: What is monitored and kept.

    Returns:
        What was found; None if no task was due.
    """
    epoch = state.epoch + (state.batch > 0)
    begun = setup.planner.begun(epoch)
    due = [task for task in due_tasks(setup.model, valid.labelled, state) if task in begun]
    state.evaluated += 1
    if not set(due).difference(setup.model.auxiliary_tasks):
        return None
    with setup.average.used(state):
        report = evaluate(valid, due)
        return _judged(report, valid, setup, state, watch, epoch)


def _judged(
    report: Report, valid: Data, setup: Setup, state: TrainingState, watch: Watch, epoch: int
) -> Validation:
    """Compare what was found with the best so far, and keep the weights that are in the model."""
    model, monitor = setup.model, watch.monitor
    begun = setup.planner.begun(epoch)
    whole = with_last(report, model, state)
    report_scores(setup.stages.at(state.epoch + 1), whole.scores)
    facts.report_scores(setup.planner.scheduler, whole.scores)
    improved = note_tasks(state, report, setup.planner.tasks_in(epoch))
    watched, value, best = monitored_tasks(monitor, model, valid.labelled), None, False
    if watched & begun:
        value = monitored_value(monitor, model, whole)
        value = smoothed_value(state, value, watch.smoothing)
        loss = monitored_loss(monitor, model, whole)
        fresh = watched.intersection(report.scores) & setup.planner.tasks_of_last_turn(epoch)
        progress = not fresh.isdisjoint(improved) if monitor == "any" else None
        best = bool(fresh) and note_value(state, value, loss, watch.patience, progress)
    if best:
        state.best_model = _weights(model)
    if watch.keep == "each" and improved:
        state.kept_for |= dict.fromkeys(improved, state.evaluated)
        state.kept[state.evaluated] = state.best_model if best else _weights(model)
        for number in state.kept.keys() - state.kept_for.values():
            del state.kept[number]
    return Validation(report, whole["score"], value, best)


def _weights(model: MultiTaskModel) -> dict[str, Tensor]:
    return {name: each.clone() for name, each in model.state_dict().items()}


def note_tasks(state: TrainingState, report: Report, trained: Container[str]) -> list[str]:
    """Compare each task with its best so far: by score, or by loss where it has no score.

    Args:
        state: Where training is; it is updated.
        report: The evaluation.
        trained: The tasks that train now; only these can improve.

    Returns:
        The tasks that are better than before, in the order of the report.
    """
    found = []
    for task, score in report.scores.items():
        value = -report[task]["loss"] if math.isnan(score) else score
        if task in trained and value > state.best_of.get(task, -math.inf):
            state.best_of[task] = value
            found.append(task)
    return found


def note_value(
    state: TrainingState,
    value: float,
    loss: float,
    patience: int | None,
    progress: bool | None = None,
) -> bool:
    """Compare a monitored value with the best so far; stop after ``patience`` without progress.

    Of equal values, as coarse metrics have them, the one with the lower loss is better. It does not
    count as progress: if only the loss improves, training still stops.

    Args:
        state: Where training is; it is updated.
        value: The monitored value.
        loss: The loss of the monitored tasks.
        patience: Evaluations without progress before training stops.
        progress: Whether there was progress; if left out, whether the value is better.

    Returns:
        Whether it is the best so far.
    """
    better = state.best is None or value > state.best
    if better if progress is None else progress:
        state.stale = 0
    else:
        state.stale += 1
        state.stopped = state.stale == patience
    if better:
        state.best = value
    else:
        lowest = state.best_loss
        better = value == state.best and lowest is not None and loss < lowest
    if better:
        state.best_loss = loss if math.isfinite(loss) else None
    return better
