"""Scores that compare across tasks: 0 for ignoring the input, 1 for perfect.

A metric m becomes s = (m - m0) / (m* - m0), where m0 is what a constant prediction reaches that was
fitted on the training labels, and m* is perfect. Not clipped: below 0 is worse than ignoring the
input.
"""

from collections.abc import Iterable, Mapping
from math import nan
from typing import Any

from motet.tasks.base import Prediction, Task
from motet.tasks.choices import MetricChoice, find_metrics
from motet.tasks.labels import as_tensor
from motet.tasks.metric import Metric, Score
from motet.tasks.prediction import check_prediction
from motet.tasks.statistics import LabelStatistics
from motet.tasks.tally import NO_LABELS, states

Trivial = Mapping[str, Mapping[str, Prediction]]
"""The best constant prediction, one row, for each metric of each task."""


def normalised_score(value: float, trivial: float, best: float | None) -> float:
    """Place a metric between a trivial predictor (0) and a perfect one (1).

    Args:
        value: The metric, m.
        trivial: What the trivial predictor reaches, m0.
        best: What a perfect one reaches, m*; None if not known.

    Returns:
        (m - m0) / (m* - m0); NaN where m* is m0 or not known.

    Example:
        >>> round(normalised_score(0.8, trivial=0.6, best=1.0), 6)
        0.5
    """
    if best is None or best == trivial:
        return nan
    return (value - trivial) / (best - trivial)


def fit_trivial(
    tasks: Iterable[Task],
    train_targets: Mapping[str, Any],
    metrics: Mapping[str, MetricChoice] | None = None,
) -> Trivial:
    """Find the best constant prediction for each metric of each task that has labels.

    Args:
        tasks: The tasks.
        train_targets: All training labels of each task, or their statistics.
        metrics: For some tasks, the metrics to fit for instead of the task's own.

    Returns:
        Predictions of one row by metric, by task.
    """
    tasks = list(tasks)
    found: dict[str, dict[str, Prediction]] = {}
    for task, own in zip(tasks, find_metrics(tasks, metrics).values(), strict=True):
        known = statistics_of(task, train_targets.get(task.name))
        if known is not None:
            found[task.name] = {metric: _trivial(task, known, metric) for metric in own}
    return found


def _trivial(task: Task, labels: LabelStatistics, metric: str) -> Prediction:
    labels = labels if task.weighted_metrics else labels.unweighted()
    found: Any = task.trivial(labels, metric)
    check_prediction(task.name, "trivial(labels, metric)", found, 1)
    return found  # type: ignore[no-any-return]  # checked


def score_trivial(
    tasks: Iterable[Task],
    trivial: Trivial,
    targets: Mapping[str, Any],
    metrics: Mapping[str, MetricChoice] | None = None,
) -> dict[str, dict[str, float]]:
    """Score constant predictions on a split, with the metrics of a model there.

    Args:
        tasks: The tasks.
        trivial: What `fit_trivial` found.
        targets: Labels of the split, or their statistics.
        metrics: For some tasks, the metrics to compute instead of the task's own, as above.

    Returns:
        Metrics by name, by task; NaN where a split has no label.
    """
    tasks = list(tasks)
    return {
        task.name: {
            name: found.value
            for name, found in trivial_scores(
                task, own, trivial.get(task.name), targets.get(task.name)
            ).items()
        }
        for task, own in zip(tasks, find_metrics(tasks, metrics).values(), strict=True)
    }


def trivial_metrics(
    tasks: Iterable[Task],
    train_targets: Mapping[str, Any],
    targets: Mapping[str, Any],
    metrics: Mapping[str, MetricChoice] | None = None,
) -> dict[str, dict[str, float]]:
    """Fit constant predictions to training labels and score them on a split.

    Args:
        tasks: The tasks.
        train_targets: All training labels of each task.
        targets: Labels of the split, or their statistics.
        metrics: For some tasks, the metrics to compute instead of the task's own.

    Returns:
        Metrics by name, by task: the m0 of `normalised_score`; NaN where a split has no label.
    """
    tasks = list(tasks)
    return score_trivial(tasks, fit_trivial(tasks, train_targets, metrics), targets, metrics)


def trivial_scores(
    task: Task, metrics: Mapping[str, Metric], trivial: Mapping[str, Prediction] | None, target: Any
) -> dict[str, Score]:
    """Score the constant predictions of one task.

    Args:
        task: The task.
        metrics: Metrics by name.
        trivial: Its constant predictions by metric; None if it had no training label.
        target: Labels of the split, their statistics, or None.

    Returns:
        What each metric found, by name; NaN where there is no label.
    """
    known = statistics_of(task, target)
    if trivial is None or known is None:
        return dict.fromkeys(metrics, NO_LABELS)
    truth, kind = task.restore(known.sample.rows), task.label_kind
    truth = truth[kind.labelled(truth)]  # a bound is a label, but no truth
    if not len(truth):
        return dict.fromkeys(metrics, NO_LABELS)
    return {
        name: states(task, {name: metric}, kind.repeated(trivial[name], truth), truth)[name].score()
        for name, metric in metrics.items()
    }


def statistics_of(task: Task, target: Any, weights: Any = None) -> LabelStatistics | None:
    """Return the statistics of labels, or those given; None without any label."""
    if target is None:
        return None
    if isinstance(target, LabelStatistics):
        found = target
    elif weights is None:
        found = task.statistics(as_tensor(target))
    else:
        found = task.statistics(as_tensor(target), as_tensor(weights))
    return found if found.labelled else None
