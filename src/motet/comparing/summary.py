"""From scores by method, task and repetition to intervals, tests and verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, isnan, nan
from typing import Literal

from motet.analysis import Interval, holm, interval, mean_ranks, paired, transfer
from motet.problems import InputError

Scores = Mapping[str, Mapping[str, Sequence[float]]]
"""For each method and task one number for each repetition, in the same order."""
Verdict = Literal["helps", "hurts", "no measurable difference"]


@dataclass(frozen=True)
class TaskMetric:
    """The metric by which methods are compared on a task."""

    name: str
    higher: bool
    """Whether higher is better."""
    perfect: float | None = None
    """Its value for perfect predictions, where there is one."""


@dataclass(frozen=True)
class TaskResult:
    """How a method does on a task."""

    mean: float
    low: float
    """Ends of the 95 % interval of the mean; NaN with one repetition."""
    high: float
    difference: float = nan
    """From the baseline, in the unit of the metric; positive is better. NaN of the baseline."""
    difference_low: float = nan
    difference_high: float = nan
    delta: float = nan
    """The difference relative to the baseline, in %; positive is better."""
    p: float = nan
    """Of the paired t test, adjusted for all tests of the comparison."""
    verdict: Verdict | None = None
    """None of the baseline, and where there is one repetition alone."""


@dataclass(frozen=True)
class MethodResult:
    """How a method does."""

    tasks: Mapping[str, TaskResult]
    delta_m: Interval | None
    """Mean of the tasks' relative differences from the baseline in %; None where it has none."""
    delta_m_equal_compute: Interval | None
    """The same from single-task models of equal total compute."""
    rank: float
    """Mean over tasks and repetitions; 1 is best."""


def summarise(
    scores: Scores,
    metrics: Mapping[str, TaskMetric],
    baseline: str,
    equal_compute: str | None = None,
    error: float = 0.05,
) -> dict[str, MethodResult]:
    """Compare methods with a baseline, task by task.

    Differences are tested by paired t tests, and Holm's adjustment covers all of them, so that the
    chance of any false verdict is at most ``error``, where differences are normal.

    Args:
        scores: The scores of all methods; NaN where a metric has no value, of tasks that are then
            left out of ranks and means.
        metrics: The metric of each task.
        baseline: Name of the method that others are compared with.
        equal_compute: Name of a second baseline, which gets no verdicts.
        error: The error rate.

    Returns:
        The result of each method.
    """
    whole = [
        task
        for task in metrics
        if all(isfinite(value) for method in scores.values() for value in method[task])
    ]
    tests = {
        (method, task): paired(
            _oriented(own[task], metrics[task]), _oriented(scores[baseline][task], metrics[task])
        )
        for method, own in scores.items()
        if method != baseline
        for task in whole
    }
    p_values = holm(
        {
            (method, task): test.p_value
            for (method, task), test in tests.items()
            if method != equal_compute
        }
    )
    ranks = _ranks(scores, metrics, whole)
    found = {}
    for method, own in scores.items():
        against = {} if method == baseline else _changes(scores[baseline], own, metrics, whole)
        tasks = {}
        for task in metrics:
            if task not in whole:
                tasks[task] = TaskResult(nan, nan, nan)
                continue
            spread = interval(own[task])
            test = tests.get((method, task))
            if test is None:
                tasks[task] = TaskResult(spread.mean, spread.low, spread.high)
                continue
            p = p_values.get((method, task), nan)
            tasks[task] = TaskResult(
                spread.mean,
                spread.low,
                spread.high,
                test.difference,
                test.low,
                test.high,
                against[task].mean if task in against else nan,
                p,
                _verdict(test.difference, p, error),
            )
        found[method] = MethodResult(
            tasks,
            against.get(""),
            None
            if equal_compute in (None, method) or method == baseline
            else _changes(scores[str(equal_compute)], own, metrics, whole).get(""),
            ranks[method],
        )
    return found


def _oriented(values: Sequence[float], metric: TaskMetric) -> list[float]:
    return [value if metric.higher else -value for value in values]


def _changes(
    baseline: Mapping[str, Sequence[float]],
    own: Mapping[str, Sequence[float]],
    metrics: Mapping[str, TaskMetric],
    tasks: Sequence[str],
) -> dict[str, Interval]:
    """Return the relative change of each task, and under "" their mean; none if a baseline is 0."""
    base, ours = (
        {task: {task: list(values[task])} for task in tasks} for values in (baseline, own)
    )
    try:
        found = transfer(base, ours, {task: metrics[task].higher for task in tasks})
    except InputError:  # a change relative to 0
        return {}
    return {**found.tasks, "": found.delta_m}


def _ranks(
    scores: Scores, metrics: Mapping[str, TaskMetric], tasks: Sequence[str]
) -> dict[str, float]:
    if not tasks:
        return dict.fromkeys(scores, nan)
    return mean_ranks(
        {
            method: [value for task in tasks for value in _oriented(own[task], metrics[task])]
            for method, own in scores.items()
        }
    )


def _verdict(difference: float, p: float, error: float) -> Verdict | None:
    if isnan(p):
        return None
    if p >= error:
        return "no measurable difference"
    return "helps" if difference > 0 else "hurts"
