"""Which tasks can have a score on given labels; the labels alone decide, so it is known early."""

from collections.abc import Iterable, Mapping
from math import isnan
from typing import Any

from motet.tasks import Task
from motet.tasks.choices import find_metrics
from motet.tasks.scores import Trivial, statistics_of, trivial_scores
from motet.tasks.tally import NO_LABELS


def without_label(tasks: Iterable[Task], targets: Mapping[str, Any]) -> dict[str, str]:
    """Find tasks that have no label; the reason, by task."""
    return {
        task.name: NO_LABELS.note
        for task in tasks
        if statistics_of(task, targets[task.name]) is None
    }


def without_score(
    tasks: Iterable[Task],
    trivial: Trivial,
    targets: Mapping[str, Any],
    metrics: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """Find tasks that no model can have a normalised score of on these labels.

    A score compares a task's first metric with what a constant prediction reaches, so there is none
    where that metric is NaN, as AUROC is among labels of one class, or perfect already.

    Args:
        tasks: The tasks.
        trivial: Constant predictions, fitted on the training labels.
        targets: The labels.
        metrics: For some tasks, the metrics to compute instead of the task's own.

    Returns:
        The reason, by task.
    """
    tasks = list(tasks)
    found = {}
    for task, own in zip(tasks, find_metrics(tasks, metrics).values(), strict=True):
        metric = next(iter(own.values()))
        first = {metric.name: metric}
        scores = trivial_scores(task, first, trivial.get(task.name), targets.get(task.name))
        value, note = scores[metric.name]
        if isnan(value):
            found[task.name] = note if note == NO_LABELS.note else f"{metric.name} is NaN: {note}"
        elif value == metric.best:
            found[task.name] = f"all labels are alike, so a constant has the best {metric.name}"
    return found
