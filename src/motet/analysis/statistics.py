"""Intervals and tests on scores: of seeds or folds, and of held-out rows.

Numbers of seeds get Student's t; those of the same seeds are compared pair by pair (`paired`),
others by Welch's test (`unpaired`). `holm` corrects over tasks. Tests on rows are in `margins`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isnan, nan, sqrt
from typing import Any, TypeVar

import numpy as np

from motet.analysis.numbers import Numbers, finite_numbers, share
from motet.analysis.student import quantile, upper_tail
from motet.problems import InputError, shown

_Name = TypeVar("_Name")


@dataclass(frozen=True)
class Interval:
    """A mean and its confidence interval."""

    mean: float
    low: float
    """NaN for one number, of which the spread is unknown; so is ``high``."""
    high: float
    count: int
    """Numbers that the mean is of."""


@dataclass(frozen=True)
class Difference:
    """Difference of two means, its confidence interval and a two-sided test of no difference."""

    difference: float
    """Of the values minus the baseline."""
    low: float
    """NaN where there are too few numbers for an interval; so are ``high`` and ``p_value``."""
    high: float
    p_value: float
    count: int
    """Pairs; without pairs, numbers on the smaller side."""


def interval(values: Any, level: float = 0.95) -> Interval:
    """Compute a mean with its confidence interval, mean ± t_{(1+level)/2, n-1} s / √n.

    Args:
        values: One number for each seed or fold, (n,).
        level: Share of such intervals that cover the true mean, if the numbers are normal.

    Returns:
        The interval; of one number without ends.

    Raises:
        InputError: If a value is not finite, or ``level`` is not between 0 and 1.

    Example:
        >>> found = interval([1, 2, 3, 4, 5])
        >>> found.mean, round(found.high - found.mean, 6)
        (3.0, 1.963243)
    """
    numbers = finite_numbers(values, "values")
    count = len(numbers)
    return t_interval(mean_of(numbers), standard_error(numbers), count - 1, count, level)


def paired(values: Any, baseline: Any, level: float = 0.95) -> Difference:
    """Compare numbers of the same seeds or folds by the paired t test.

    Args:
        values: One number for each seed, (n,).
        baseline: Those of the baseline, for the same seeds in the same order, (n,).
        level: Level of the interval.

    Returns:
        The comparison; with numbers that are equal in every pair p is 1.

    Raises:
        InputError: If a value is not finite, or the lengths differ.
    """
    ours, theirs = _pairs(values, baseline)
    differences = ours - theirs
    return _difference(
        mean_of(differences), standard_error(differences), len(ours) - 1, level, len(ours)
    )


def unpaired(values: Any, baseline: Any, level: float = 0.95) -> Difference:
    """Compare numbers whose seeds differ by Welch's t test (Biometrika 1947).

    Args:
        values: One number for each seed, (n,).
        baseline: Those of the baseline, (m,).
        level: Level of the interval.

    Returns:
        The comparison; without interval and p where one side has a single number.

    Raises:
        InputError: If a value is not finite.
    """
    ours, theirs = finite_numbers(values, "values"), finite_numbers(baseline, "baseline")
    error, freedom = joined_error(
        [(standard_error(each), len(each) - 1) for each in (ours, theirs)]
    )
    difference = mean_of(ours) - mean_of(theirs)
    return _difference(difference, error, freedom, level, min(len(ours), len(theirs)))


def holm(p_values: Mapping[_Name, float]) -> dict[_Name, float]:
    """Adjust p values for the number of tests (Holm, Scandinavian Journal of Statistics 1979).

    Below an error rate after adjustment is what may be called significant so that the chance of
    any false claim is at most that rate, however the tests depend on each other.

    Args:
        p_values: By name; NaN where a test was not possible, which stays NaN and does not count.

    Returns:
        Adjusted p values, in the order given.

    Raises:
        InputError: If one is not a probability, or they have no names.

    Example:
        >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
        {'a': 0.03, 'b': 0.06, 'c': 0.06}
    """
    if not isinstance(p_values, Mapping):
        raise InputError(
            f"found {shown(p_values)}; expected a mapping from names of tests to p values",
            option="p_values",
        )
    for name, p in p_values.items():
        if p < 0 or p > 1:
            raise InputError(f"found {p} for {name!r}; expected a probability", option="p_values")
    known = sorted((name for name, p in p_values.items() if not isnan(p)), key=p_values.__getitem__)
    adjusted, largest = dict.fromkeys(p_values, nan), 0.0
    for place, name in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - place) * p_values[name]))
        adjusted[name] = largest
    return adjusted


def mean_ranks(scores: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Rank methods in every column, such as a task and seed, and average; 1 is best.

    Args:
        scores: For each method one score for each column, higher is better.

    Returns:
        Mean rank by method; methods with equal scores share the mean of their ranks.

    Raises:
        InputError: If a score is not finite, or methods have different numbers of scores.

    Example:
        >>> mean_ranks({"a": [3, 2], "b": [1, 2], "c": [2, 1]})
        {'a': 1.25, 'b': 2.25, 'c': 2.5}
    """
    rows = [finite_numbers(values, f"scores of {name!r}") for name, values in scores.items()]
    if len({len(each) for each in rows}) > 1:
        raise InputError(
            f"found {', '.join(f'{len(r)} of {n!r}' for n, r in zip(scores, rows, strict=True))}; "
            "expected as many scores of every method, in the same order of columns",
            option="scores",
        )
    table = np.array(rows)  # (methods, columns)
    above = (table[None] > table[:, None]).sum(axis=1)
    equal = (table[None] == table[:, None]).sum(axis=1)
    return dict(zip(scores, (above + (equal + 1) / 2).mean(axis=1).tolist(), strict=True))


def joined_error(errors: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Join the standard errors of independent means by Welch and Satterthwaite.

    Args:
        errors: Standard error and degrees of freedom of each.

    Returns:
        Standard error of a sum of the means, and its degrees of freedom; 0 of them if a mean has
        none.
    """
    squares = [error**2 for error, _ in errors]
    if any(freedom == 0 for _, freedom in errors):
        return nan, 0.0
    total = sum(squares)
    parts = sum(square**2 / each[1] for square, each in zip(squares, errors, strict=True))
    return sqrt(total), total**2 / parts if parts else sum(each[1] for each in errors)


def t_interval(
    mean: float, error: float, freedom: float, count: int, level: float = 0.95
) -> Interval:
    """Return the interval of a mean with this standard error."""
    half = _half(error, freedom, share(level, "level"))
    return Interval(mean, mean - half, mean + half, count)


def mean_of(numbers: Numbers) -> float:
    """Return the mean, which is exact where all numbers are equal."""
    return float(numbers[0] + (numbers - numbers[0]).mean())


def standard_error(numbers: Numbers) -> float:
    """Return the standard error of the mean; NaN of one number."""
    if len(numbers) < 2:
        return nan
    return float((numbers - numbers[0]).std(ddof=1) / sqrt(len(numbers)))


def _half(error: float, freedom: float, level: float) -> float:
    return quantile((1 + level) / 2, freedom) * error


def _difference(
    difference: float, error: float, freedom: float, level: float, count: int
) -> Difference:
    half = _half(error, freedom, share(level, "level"))
    p = 2 * upper_tail(abs(ratio(difference, error)), freedom)
    return Difference(difference, difference - half, difference + half, p, count)


def ratio(difference: float, error: float) -> float:
    """Return the t statistic; 0 where nothing differs at all."""
    if difference == 0:
        return 0.0 * error
    return difference / error if error != 0 else inf if difference > 0 else -inf


def _pairs(values: Any, baseline: Any) -> tuple[Numbers, Numbers]:
    ours, theirs = finite_numbers(values, "values"), finite_numbers(baseline, "baseline")
    if len(ours) != len(theirs):
        raise InputError(
            f"found {len(ours)} values and {len(theirs)} of the baseline; expected one of each for "
            "every pair, in the same order",
            option="baseline",
        )
    return ours, theirs
