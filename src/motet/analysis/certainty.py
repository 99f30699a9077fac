"""Which pairs of tasks might as well be grouped otherwise, as measurements vary.

Groups have a value: the sum over tasks of the mean that a task gets from the others of its group
(`motet.analysis.groupings`). Suggested groups are compared with those that differ by one change: a
task, or two of one group, move to another group or to one of their own, or two groups become one.
Two tasks are unsure if some change that parts or joins them is not clearly worse: the difference of
values, which is a weighted sum of measurements, against its standard error by Student's t. Clusters
whose number is open are merged while tasks are similar on average, which raises the sum over pairs
of one group; so that is their value.

The measurements of pairs count as independent, those of the two directions of a pair as one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from motet.analysis.numbers import Numbers
from motet.analysis.student import quantile

_LEVEL = 0.975
Groups = list[list[int]]


@dataclass(frozen=True, eq=False)
class Measurements:
    """A number for every two of T tasks, of row to column, and how certain it is."""

    tasks: tuple[str, ...]
    """The tasks, in the order of rows and columns."""
    matrix: Numbers
    """Means over steps, (T, T); NaN where unknown."""
    errors: Numbers
    """Their standard errors, as steps vary; NaN where unknown, as of one step."""
    steps: NDArray[np.int64]
    """How many steps each is the mean of."""

    @staticmethod
    def joined(several: Sequence["Measurements"]) -> "Measurements":
        """Average independent measurements; one may lack a rare task."""
        tasks = tuple(dict.fromkeys(task for each in several for task in each.tasks))
        shape = (len(several), len(tasks), len(tasks))
        matrix, squares, steps = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape)
        for at, each in enumerate(several):
            here = np.ix_([at], *[[tasks.index(task) for task in each.tasks]] * 2)
            known = np.isfinite(each.matrix)
            matrix[here], steps[here] = each.matrix, each.steps
            squares[here] = np.where(known, each.errors**2, 0)
        known = np.isfinite(matrix)
        count = np.where(known.any(axis=0), known.sum(axis=0), np.nan)
        total = np.where(known, squares, 0).sum(axis=0)
        return Measurements(
            tasks,
            np.where(known, matrix, 0).sum(axis=0) / count,
            np.sqrt(total) / count,
            steps.sum(axis=0).astype(np.int64),
        )


def unsure_pairs(
    found: Measurements,
    groups: Sequence[Sequence[str]],
    *,
    most: int | None = None,
    enough: float = 1.0,
    clustered: bool = False,
) -> list[tuple[str, str]]:
    """Return the pairs of tasks of which measurements do not clearly say whether they are together.

    Args:
        found: Affinities or similarities.
        groups: Groups of these tasks that it suggests.
        most: The largest number of groups; any if left out.
        enough: Share of the value of more groups with which fewer are preferred.
        clustered: Whether groups are clusters of similar tasks whose number was open.

    Returns:
        The pairs, in the order of tasks.

    Example:
        >>> z = np.array([[0, 0.5, 0.0], [0.5, 0, 0.1], [0.0, 0.1, 0]])
        >>> steps = np.full((3, 3), 20)
        >>> clear, noisy = (
        ...     Measurements(tuple("abc"), z, np.full((3, 3), e), steps) for e in (0.01, 0.15)
        ... )
        >>> [unsure_pairs(each, [["a", "b"], ["c"]], most=2) for each in (clear, noisy)]
        [[], [('a', 'b'), ('a', 'c'), ('b', 'c')]]
    """
    names = list(found.tasks)
    own = [[names.index(task) for task in group] for group in groups]

    def weighed(groups: Groups) -> Numbers:
        return _weights(groups, len(names), of_pairs=clustered)

    together, weights = _together(own, len(names)), weighed(own)
    unsure = np.zeros_like(together)
    for other in _others(own, len(names) if most is None else most):
        here = weights * (enough if len(other) < len(own) else 1.0)
        there = weighed(other) * (enough if len(other) > len(own) else 1.0)
        if not _clear(found, here - there):
            unsure |= together != _together(other, len(names))
    pairs = zip(*np.nonzero(np.triu(unsure, 1)), strict=True)
    return [(names[i], names[j]) for i, j in pairs]


def _clear(found: Measurements, weights: Numbers) -> bool:
    """Whether a sum of measurements is above 0 by more than they vary."""
    used = weights != 0
    if not used.any():
        return False
    difference = float((weights * np.where(used, found.matrix, 0)).sum())
    of_pairs = np.triu(np.abs(weights) * (found.errors + found.errors.T), 1)
    error = float(np.sqrt(np.square(of_pairs[np.triu(used, 1)]).sum()))
    freedom = int(found.steps[used].min()) - 1
    return bool(difference > quantile(_LEVEL, freedom) * error)  # False of NaN


def _others(groups: Groups, most: int) -> Iterator[Groups]:
    """Yield groups that differ from these by one change."""
    for at, group in enumerate(groups):
        rest = [*groups[:at], *groups[at + 1 :]]
        for moved in _moved(group):
            left = [each for each in group if each not in moved]
            for place, other in enumerate(rest):
                joined = [*rest[:place], [*other, *moved], *rest[place + 1 :]]
                yield [*joined, left] if left else joined
            if left and len(groups) < most:
                yield [*rest, left, moved]


def _moved(group: list[int]) -> Iterator[list[int]]:
    """Yield the tasks of a group that move together: one, two or all."""
    for at, one in enumerate(group):
        yield [one]
        yield from ([one, other] for other in group[at + 1 :])
    if len(group) > 2:
        yield group


def _weights(groups: Groups, count: int, *, of_pairs: bool) -> Numbers:
    """Return how much each measurement counts in the value of groups, (T, T)."""
    found = np.zeros((count, count))
    for group in groups:
        if len(group) > 1:
            found[np.ix_(group, group)] = 1 if of_pairs else 1 / (len(group) - 1)
    np.fill_diagonal(found, 0)
    return found


def _together(groups: Groups, count: int) -> NDArray[np.bool_]:
    """Return which tasks are in one group, (T, T)."""
    number = np.empty(count, dtype=np.int64)
    for at, group in enumerate(groups):
        number[group] = at
    found: NDArray[np.bool_] = number[:, None] == number
    return found
