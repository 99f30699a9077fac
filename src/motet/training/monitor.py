"""The monitored value: what early stopping and the choice of the best weights are based on."""

import math
import warnings
from collections.abc import Container, Iterable, Mapping
from typing import Any

from motet.model import MultiTaskModel
from motet.options import MONITORED
from motet.problems import InputError
from motet.tasks import Task
from motet.tasks.choices import find_metrics
from motet.tasks.listing import main_tasks
from motet.tasks.scores import Trivial
from motet.training.errors import TrainingError
from motet.training.evaluation import Report
from motet.training.scorable import without_label, without_score
from motet.training.state import TrainingState, finite


def check_monitor(
    monitor: str,
    model: MultiTaskModel,
    labels: Mapping[str, Any],
    metrics: Mapping[str, Any] | None,
    trivial: Trivial,
) -> None:
    """Check that the monitored value can be computed on data with these labels.

    A warning names the tasks that a mean has to leave out.

    Args:
        monitor: What is monitored.
        model: The model.
        labels: Validation labels by task, or their statistics.
        metrics: Metrics by task, in place of each task's own.
        trivial: Constant predictions, fitted on the training labels.

    Raises:
        InputError: If it depends on a task that is disabled, has no targets or no score on these
            labels, or on a metric whose best value is unknown.
    """
    tasks = [model.tasks[name] for name in model.active_tasks if name in labels]
    known = {task.name for task in tasks}
    names = main_tasks(tasks) if monitor in MONITORED else [monitor]
    if not names or not known.issuperset(names):
        what = ", ".join(name for name in names if name not in known) or "every task"
        raise InputError(
            f"found {monitor!r}, but {what} is disabled or has no validation targets; give some, "
            "or monitor something else",
            option="monitor",
        )
    other = ""
    if monitor != "loss":
        tasks = [task for task in tasks if task.name in names]
        chosen = {name: own for name, own in (metrics or {}).items() if name in names}
        _check_best(monitor, tasks, chosen)
        other = ", or monitor something else, e.g. monitor: loss"
    left = without_value(monitor, tasks, labels, metrics, trivial)
    reasons = "; ".join(f"{name}: {reason}" for name, reason in left.items())
    if len(left) == len(tasks):
        raise InputError(
            f"found {monitor!r}, which is not a number on the validation data ({reasons}); give "
            f"more labelled rows{other}",
            option="monitor",
        )
    if left:
        warnings.warn(
            f"monitor is {monitor!r}, over {len(tasks) - len(left)} of {len(tasks)} tasks: the "
            f"validation labels do not suffice for {reasons}",
            stacklevel=3,
        )


def without_value(
    monitor: str,
    tasks: Iterable[Task],
    labels: Mapping[str, Any],
    metrics: Mapping[str, Any] | None,
    trivial: Trivial,
) -> dict[str, str]:
    """Find tasks without the loss or score that the monitored value averages.

    Args:
        monitor: What is monitored.
        tasks: The tasks that it depends on.
        labels: Validation labels by task, or their statistics.
        metrics: Metrics by task, in place of each task's own.
        trivial: Constant predictions, fitted on the training labels.

    Returns:
        The reason, by task.
    """
    if monitor == "loss":
        return without_label(tasks, labels)
    tasks = list(tasks)
    own = {task.name: metrics[task.name] for task in tasks if metrics and task.name in metrics}
    return without_score(tasks, trivial, labels, own)


def _check_best(monitor: str, tasks: list[Task], metrics: Mapping[str, Any]) -> None:
    for name, found in find_metrics(tasks, metrics).items():
        metric = next(iter(found.values()))
        if metric.without_score:
            raise InputError(
                f"found {monitor!r}, which needs a score of {name!r}, but its first metric is "
                f"{metric.name!r}: {metric.without_score}, or choose monitor: loss",
                option="monitor",
            )


def monitored_tasks(monitor: str, model: MultiTaskModel, labelled: Container[str]) -> set[str]:
    """Return the names of the tasks that the monitored value depends on."""
    if monitor not in MONITORED:
        return {monitor}
    tasks = [model.tasks[name] for name in model.active_tasks if name in labelled]
    return {task.name for task in tasks} if monitor == "loss" else set(main_tasks(tasks))


def monitored_value(monitor: str, model: MultiTaskModel, report: Report) -> float:
    """Return the monitored value; higher is better. An infinite one becomes the largest number.

    Raises:
        TrainingError: If it is not a number, or a task's predictions are not.
    """
    broken = [key for key, note in report.notes.items() if note == "a prediction is NaN"]
    if broken:
        raise TrainingError(
            f"predictions on the validation data are NaN ({', '.join(broken)}); lower the learning "
            "rate, or look for NaN or extreme values in the inputs"
        )
    if monitor == "loss":
        value = -monitored_loss(monitor, model, report)
    elif monitor in report.scores:
        value = report.scores[monitor]
    else:
        value = report.worst if monitor == "worst" else report["score"]
    if math.isnan(value):
        notes = "; ".join(f"{key}: {note}" for key, note in report.notes.items())
        other = "" if monitor == "loss" else ", or monitor something else, e.g. monitor: loss"
        raise TrainingError(
            f"the monitored value ({monitor}) is not a number on the validation data"
            f"{f' ({notes})' if notes else ''}; give it more labelled rows{other}"
        )
    return finite(float(value))


def smoothed_value(state: TrainingState, value: float, smoothing: float) -> float:
    """Return an exponential mean of the monitored values up to this one.

    With smoothing s, a value that is n evaluations old weighs s^n; the weights are divided by their
    sum, so that the first values are not pulled towards 0.

    Args:
        state: Where training is; its sums are updated.
        value: The monitored value of this evaluation.
        smoothing: How much of the earlier ones is kept, 0 <= s < 1; with 0 the value itself.

    Example:
        >>> state = TrainingState()
        >>> [smoothed_value(state, value, 0.5) for value in (1.0, 0.0, 1.0)]
        [1.0, 0.3333333333333333, 0.7142857142857143]
    """
    if not smoothing:
        return value
    state.smoothed = finite(smoothing * state.smoothed + value)
    state.smoothed_weight = smoothing * state.smoothed_weight + 1.0
    return state.smoothed / state.smoothed_weight


def monitored_loss(monitor: str, model: MultiTaskModel, report: Report) -> float:
    """Return the loss of the tasks that the monitored value depends on; NaN without a label."""
    names = [
        name for name in monitored_tasks(monitor, model, report.scores) if report[name]["count"]
    ]
    losses = [model.tasks[name].weight * report[name]["loss"] for name in sorted(names)]
    return sum(losses) if losses else math.nan
