"""Not worse than a baseline by more than a margin: one-sided tests on held-out rows.

The null hypothesis is that the score is worse by the margin or more, so a small p value supports
"not worse by more than the margin". Both models predict the same rows, which are compared in pairs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.analysis.numbers import finite_numbers, share
from motet.analysis.statistics import ratio
from motet.analysis.student import quantile, upper_tail
from motet.problems import InputError


@dataclass(frozen=True)
class NotWorse:
    """A difference of scores on the same rows, and the test that it is not below -margin."""

    difference: float
    """Score minus that of the baseline; above 0 is better than the baseline."""
    bound: float
    """The difference is at least this, at the error rate given."""
    p_value: float
    """Of the null hypothesis that the score is worse by the margin or more."""
    count: int
    """Rows, or units of rows, that were compared."""


def not_worse(rows: Any, baseline_rows: Any, margin: float, *, error: float = 0.05) -> NotWorse:
    """Test a score that is a mean over rows, such as accuracy or minus the absolute error.

    Where every row is right or wrong (differences -1, 0 and 1) by the score test of Tango
    (Statistics in Medicine 1998), which keeps its error rate where the models rarely differ;
    otherwise by the one-sided paired t test.

    Args:
        rows: Score of each row, higher is better, (N,).
        baseline_rows: Score of each row by the baseline, (N,).
        margin: By how much the mean may be worse, in units of the score.
        error: Error rate of ``bound``.

    Returns:
        The result of the test.

    Raises:
        InputError: If a score is not finite, there are fewer than two rows, the lengths differ or
            the margin is negative.
    """
    ours, theirs = finite_numbers(rows, "rows"), finite_numbers(baseline_rows, "baseline_rows")
    if len(ours) != len(theirs) or len(ours) < 2:
        raise InputError(
            f"found {len(ours)} rows and {len(theirs)} of the baseline; expected the same rows of "
            "both, at least two",
            option="baseline_rows",
        )
    _check_margin(margin)
    differences, count = ours - theirs, len(ours)
    if np.isin(differences, (-1.0, 0.0, 1.0)).all():
        better, worse = int((differences == 1).sum()), int((differences == -1).sum())
        return _of_pairs(better, worse, count, margin, share(error, "error"))
    deviation = float(differences.std(ddof=1)) / sqrt(count)
    return _by_t(float(differences.mean()), deviation, count - 1, margin, error, count)


def not_worse_by_groups(
    metric: Callable[[NDArray[np.int64]], float],
    rows: int | Any,
    margin: float,
    *,
    groups: int = 40,
    error: float = 0.05,
    seed: int = 0,
) -> NotWorse:
    """Test a score that is no mean over rows: macro F1, AUROC, span F1, RMSE, R2.

    By the delete-a-group jackknife (Kott, Journal of Official Statistics 2001) and Student's t with
    ``groups - 1`` degrees of freedom: the score is computed over all rows, and without each group.

    Args:
        metric: Takes positions of rows, (n,), and returns the score on them minus that of the
            baseline on them; higher is better.
        rows: Number of rows, or for each row its unit, such as its query, (N,): rows of a unit are
            left out together.
        margin: By how much the score may be worse.
        groups: Number of random groups of about the same size; fewer if there are fewer units.
        error: Error rate of ``bound``.
        seed: Of the groups.

    Returns:
        The result of the test.

    Raises:
        InputError: If there are fewer than two units, the margin is negative or the metric is not
            finite.
    """
    _check_margin(margin)
    units = np.arange(rows) if isinstance(rows, int) else np.unique(rows, return_inverse=True)[1]
    count = int(units.max()) + 1 if len(units) else 0
    groups = min(groups, count)
    if groups < 2:
        raise InputError(f"found {count} rows or units; expected at least two", option="rows")
    group = np.random.default_rng(seed).permutation(count)[units] % groups
    scores = [metric(np.arange(len(units)))]
    scores += [metric(np.flatnonzero(group != each)) for each in range(groups)]
    whole, *without = finite_numbers(scores, "metric").tolist()
    deviation = sqrt((groups - 1) / groups * np.square(without - np.mean(without)).sum())
    if whole == 0 and deviation == 0:  # as in `_of_pairs`: no row differs
        return _of_pairs(0, 0, count, min(margin, 1.0), share(error, "error"))
    return _by_t(whole, deviation, groups - 1, margin, error, count)


def _by_t(
    difference: float, deviation: float, freedom: int, margin: float, error: float, count: int
) -> NotWorse:
    bound = difference - quantile(1 - share(error, "error"), freedom) * deviation
    p = upper_tail(ratio(difference + margin, deviation), freedom)
    return NotWorse(difference, bound, p if difference != -margin else 1.0, count)


def _of_pairs(better: int, worse: int, count: int, margin: float, error: float) -> NotWorse:
    """Test by numbers of rows that one model alone has right, b and c of Tango's paper."""
    normal, critical = NormalDist(), NormalDist().inv_cdf(1 - error)
    difference = (better - worse) / count
    low, high = -1.0, difference
    while high - low > 1e-12:  # the statistic falls from -1 up to the difference, where it is 0
        middle = (low + high) / 2
        above = _tango(better, worse, count, middle) > critical
        low, high = (middle, high) if above else (low, middle)
    p = 1 - normal.cdf(_tango(better, worse, count, -margin))
    return NotWorse(difference, low, p, count)


def _tango(better: int, worse: int, count: int, true: float) -> float:
    """Return the score statistic of a true difference; z = 0 at the difference that was found."""
    a, b = 2 * count, -better - worse + (2 * count - better + worse) * true
    c = -worse * true * (1 - true)
    q = (sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
    variance = count * (2 * q + true * (1 - true))
    return ratio(better - worse - count * true, sqrt(max(variance, 0.0)))


def _check_margin(margin: float) -> None:
    if not margin >= 0:
        raise InputError(f"found {margin}; expected a number >= 0", option="margin")
