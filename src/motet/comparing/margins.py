"""Which tasks a shared model serves, and the tests that it is not worse than single-task models.

Validation rows decide which tasks, test rows are tested. Accuracies are tested row by row, other
metrics, and those of rows with weights, by a jackknife over groups of rows
(`motet.analysis.margins`). Where the metric has no value, the verdict is "cannot tell". Holm's
adjustment covers all tasks. How often the tests are wrong is measured by
``benchmarks/planted_comparisons.py``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from motet.analysis import NotWorse, holm, not_worse, not_worse_by_groups
from motet.comparing.summary import TaskMetric
from motet.problems import InputError
from motet.run.scoring import Scored

Verdict = Literal["not worse", "cannot tell"]


@dataclass(frozen=True)
class Levels:
    """The margin and the error rate of tests."""

    margin: float
    """By how much a task may be worse."""
    error: float
    """The chance that a test finds a task not worse which is worse by the margin or more."""


@dataclass(frozen=True)
class Tested:
    """The test of one task on the test rows."""

    difference: float
    """The shared model minus the single-task model, in the unit of the metric; positive is
    better."""
    bound: float
    """The difference is at least this, at the error rate of all tests together."""
    margin: float
    """The margin in the unit of the metric."""
    p: float
    """Adjusted by Holm's method for all tasks."""
    rows: int
    verdict: Verdict


def check_levels(margin: float, error: float) -> None:
    """Check the margin and the error rate.

    Raises:
        InputError: If one does not fit.
    """
    if not 0 < margin < 1:
        raise InputError(f"found {margin!r}; expected a number between 0 and 1", option="margin")
    if not 0 < error < 0.5:
        raise InputError(f"found {error!r}; expected a number between 0 and 0.5", option="error")


def served(
    validation: Mapping[str, tuple[float, float]],
    metrics: Mapping[str, TaskMetric],
    levels: Levels,
) -> list[str]:
    """Return the tasks that a shared model serves, by its metrics on validation rows.

    Args:
        validation: By task the metric of the shared model, and of the single-task model.
        metrics: The metric of each task.
        levels: The margin, of which a task may be worse by half.

    Returns:
        The tasks; none where fewer than two are left.
    """
    found = []
    for task, (ours, alone) in validation.items():
        gain = ours - alone if metrics[task].higher else alone - ours
        if gain >= -_margin(metrics[task], alone, levels.margin) / 2:
            found.append(task)
    return found if len(found) > 1 else []


def tested(
    ours: Mapping[str, Scored],
    theirs: Mapping[str, Scored],
    metrics: Mapping[str, TaskMetric],
    levels: Levels,
) -> dict[str, Tested]:
    """Test that a shared model is not worse than single-task models.

    Args:
        ours: By task, what the shared model predicts for the test rows.
        theirs: What the single-task models predict for the same rows.
        metrics: The metric of each task.
        levels: The margin and the error rate.

    Returns:
        By task, the outcome of its test.
    """
    margins, tests = {}, {}
    for task, own in ours.items():
        alone = theirs[task].on(np.arange(len(own)))
        margins[task] = _margin(metrics[task], alone, levels.margin)
        tests[task] = _test(own, theirs[task], metrics[task], levels, levels.error / len(ours))
    adjusted = holm({task: found.p_value for task, found in tests.items()})
    return {
        task: Tested(
            found.difference,
            found.bound,
            margins[task],
            adjusted[task],
            len(ours[task]),
            "not worse" if adjusted[task] <= levels.error else "cannot tell",
        )
        for task, found in tests.items()
    }


def _test(
    ours: Scored, theirs: Scored, metric: TaskMetric, levels: Levels, error: float
) -> NotWorse:
    sign = 1 if metric.higher else -1
    whole = _margin(metric, theirs.on(np.arange(len(theirs))), levels.margin)

    def difference(rows: NDArray[np.int64]) -> float:
        """Of a part of the rows a margin that is a share differs, too."""
        alone = theirs.on(rows)
        own_margin = _margin(metric, alone, levels.margin)
        return sign * (ours.on(rows) - alone) + own_margin - whole

    units = len(ours) if ours.units is None else ours.units
    try:
        if metric.name == "accuracy" and ours.units is None and ours.weights is None:
            return not_worse(ours.right(), theirs.right(), levels.margin, error=error)
        return not_worse_by_groups(difference, units, whole, error=error)
    except InputError:  # the metric has no value, as of rows without some class; or too few rows
        return NotWorse(difference(np.arange(len(ours))), -inf, 1.0, len(ours))


def _margin(metric: TaskMetric, alone: float, margin: float) -> float:
    """Return the margin in the unit of a metric."""
    return margin if metric.perfect == 1 else margin * abs(alone)
