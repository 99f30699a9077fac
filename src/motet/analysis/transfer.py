"""Transfer: what multi-task training changes, relative to single-task training (Delta_m)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from motet.analysis.directions import higher_is_better
from motet.analysis.numbers import Numbers, finite_numbers
from motet.analysis.statistics import (
    Interval,
    interval,
    joined_error,
    standard_error,
    t_interval,
)
from motet.problems import InputError

Scores = Mapping[str, Mapping[str, Any]]
"""{task: {metric: a number, or one for each seed}}."""


@dataclass(frozen=True)
class Transfer:
    """Relative change of every task, and their mean."""

    tasks: dict[str, Interval]
    """Change of each task in %, the mean over its metrics; positive is better than single-task."""
    delta_m: Interval
    """Mean over tasks, in %."""
    positive: tuple[str, ...]
    """Tasks whose interval is above 0."""
    negative: tuple[str, ...]
    """Tasks whose interval is below 0."""
    unclear: tuple[str, ...]
    """All others; every task, where there is one seed and so no interval."""
    convention: str
    """How the numbers are made, in words."""


def transfer(
    single: Scores,
    multi: Scores,
    higher: Mapping[str, bool] | None = None,
    *,
    paired: bool = True,
) -> Transfer:
    """Compute the relative change of every task and Delta_m, with 95 % intervals.

    Delta_m is::

        Δm = 100/T Σ_k 1/|M_k| Σ_{m in M_k} σ_m (M_m - B_m) / |B_m|

    with the multi-task score M and the single-task score B of T tasks with the metrics M_k, and σ 1
    if higher is better, -1 if lower (Maninis et al., CVPR 2019, arXiv:1904.08918, with one metric
    for each task). Some papers average over all metrics at once, or use the opposite sign:
    ``convention`` states what is done here.

    The baseline varies with the seed, too. Paired by seed, the change is computed for each seed and
    averaged. Without pairs it is that of the means, and its standard error by the delta method,
    with degrees of freedom by Welch and Satterthwaite.

    Args:
        single: Scores of single-task models.
        multi: Scores of multi-task models, of the same tasks and metrics.
        higher: Whether higher is better, for metrics that motet does not have.
        paired: Whether the numbers of both are of the same seeds or folds, in the same order.

    Returns:
        The changes.

    Raises:
        InputError: If tasks, metrics or numbers of seeds differ, a number is not finite, the
            direction of a metric is unknown or a baseline is 0.

    Example:
        >>> single = {"a": {"accuracy": 0.80}, "b": {"mae": 1.0}}
        >>> multi = {"a": {"accuracy": 0.82}, "b": {"mae": 1.1}}
        >>> round(transfer(single, multi).delta_m.mean, 2)
        -3.75
    """
    base, ours = _table(single, "single"), _table(multi, "multi")
    _check_alike(base, ours, paired)
    metrics = dict.fromkeys(metric for table in base.values() for metric in table)
    sign = {each: 1.0 if higher_is_better(each, higher) else -1.0 for each in metrics}
    change = _paired_change if paired else _change_of_means
    by_task = {
        task: _mean(
            [change(ours[task][metric], base[task][metric], sign[metric]) for metric in table]
        )
        for task, table in base.items()
    }
    tasks = {task: _interval(series) for task, series in by_task.items()}
    positive = tuple(task for task, each in tasks.items() if each.low > 0)
    negative = tuple(task for task, each in tasks.items() if each.high < 0)
    return Transfer(
        tasks,
        _interval(_mean(list(by_task.values()))),
        positive,
        negative,
        tuple(task for task in tasks if task not in positive + negative),
        "change relative to single-task in %, averaged over the metrics of a task, then over "
        "tasks; positive is better than single-task; 95 % intervals, seeds "
        + ("paired" if paired else "not paired"),
    )


Series = tuple[Numbers, ...]
"""Independent series, each of one number for each seed; the mean of the first is the change."""


def _paired_change(ours: Numbers, base: Numbers, sign: float) -> Series:
    return (100 * sign * (ours - base) / np.abs(base),)


def _change_of_means(ours: Numbers, base: Numbers, sign: float) -> Series:
    """Return the change of the means by the seed of each side, to first order."""
    mean = base.mean()
    of_base = -ours.mean() / (mean * np.abs(mean)) * (base - mean)
    return 100 * sign * (ours - mean) / np.abs(mean), 100 * sign * of_base


def _mean(changes: list[Series]) -> Series:
    return tuple(np.mean(each, axis=0) for each in zip(*changes, strict=True))


def _interval(series: Series) -> Interval:
    if len(series) == 1:
        return interval(series[0])
    error, freedom = joined_error([(standard_error(each), len(each) - 1) for each in series])
    return t_interval(float(series[0].mean()), error, freedom, min(map(len, series)))


def _table(scores: Scores, owner: str) -> dict[str, dict[str, Numbers]]:
    if not scores or not all(scores.values()):
        raise InputError("found no scores; expected {task: {metric: numbers}}", option=owner)
    return {
        task: {
            metric: finite_numbers(values, f"{owner}: {metric} of {task!r}")
            for metric, values in table.items()
        }
        for task, table in scores.items()
    }


def _check_alike(
    base: Mapping[str, Mapping[str, Numbers]],
    ours: Mapping[str, Mapping[str, Numbers]],
    paired: bool,
) -> None:
    if base.keys() != ours.keys():
        raise InputError(
            f"found the tasks {', '.join(ours)}; expected those of single: {', '.join(base)}",
            option="multi",
        )
    for task, table in base.items():
        if table.keys() != ours[task].keys():
            raise InputError(
                f"found the metrics {', '.join(ours[task])} of {task!r}; expected those of single: "
                f"{', '.join(table)}",
                option="multi",
            )
        for metric, values in table.items():
            if not (values if paired else values.mean(keepdims=True)).all():
                raise InputError(
                    f"found 0 as {metric} of {task!r}; a change relative to 0 is not defined; use "
                    "another metric",
                    option="single",
                )
    lengths = [_lengths(each) for each in (base, ours)]
    if any(len(each) > 1 for each in lengths) or (paired and lengths[0] != lengths[1]):
        raise InputError(
            f"found {_listed(lengths[0])} numbers for each score in single, "
            f"{_listed(lengths[1])} in multi; expected one for each seed"
            + ("; with other seeds on each side give paired=False" if paired else "")
        )


def _lengths(table: Mapping[str, Mapping[str, Numbers]]) -> set[int]:
    return {len(values) for metrics in table.values() for values in metrics.values()}


def _listed(lengths: set[int]) -> str:
    return " or ".join(map(str, sorted(lengths)))
