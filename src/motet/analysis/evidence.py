"""How clearly correlations of tasks speak for some groups instead of others."""

from collections.abc import Sequence
from math import lgamma, log

import numpy as np
from numpy.typing import NDArray

from motet.analysis.similarity import Similarity

Groups = Sequence[Sequence[str]]


def favours(found: Similarity, groups: Groups, instead_of: Groups, *, error: float = 0.01) -> bool:
    """Return whether correlations speak clearly for groups of tasks instead of others.

    Groups explain correlations by two numbers: one for pairs within a group, one for the others.
    That of n rows varies as 1 / (n - 1), so the difference of the weighted squares that two sets of
    groups leave is twice the logarithm of a likelihood ratio. Ratios above c have a probability of
    1 / c at most where the other groups are right (Royall, JASA 2000); as the groups were chosen
    from many, c is the number of ways to choose them over ``error``.

    Args:
        found: Correlations of T tasks, with the rows of each pair; pairs that are NaN are left out.
        groups: The groups that may be better, chosen by these correlations.
        instead_of: The groups that count as right unless there is evidence.
        error: How often right groups may be given up.

    Returns:
        Whether the likelihood ratio is above c.

    Example:
        >>> matrix = np.array([[1, 0.6, 0], [0.6, 1, 0], [0, 0, 1]])
        >>> few, many = (Similarity(tuple("abc"), matrix, np.full((3, 3), n)) for n in (9, 99))
        >>> [favours(each, [["a", "b"], ["c"]], [["a", "b", "c"]]) for each in (few, many)]
        [False, True]
    """
    left = _left(found, instead_of) - _left(found, groups)
    return left > 2 * (_ways(len(found.tasks), len(groups)) - log(error))


def _left(found: Similarity, groups: Groups) -> float:
    """Return the weighted squares of what groups do not explain."""
    upper = np.triu_indices(len(found.tasks), 1)
    values, weights = found.matrix[upper], found.counts[upper] - 1.0
    known = np.isfinite(values) & (weights > 0)
    number = {task: at for at, group in enumerate(groups) for task in group}
    own = np.array([number[task] for task in found.tasks])
    within: NDArray[np.bool_] = (own[upper[0]] == own[upper[1]])[known]
    values, weights = values[known], weights[known]
    total = 0.0
    for some in (within, ~within):
        if some.any():
            mean = np.average(values[some], weights=weights[some])
            total += float(weights[some] @ np.square(values[some] - mean))
    return total


def _ways(tasks: int, groups: int) -> float:
    """Return the logarithm of about how many ways there are to choose groups of tasks."""
    return tasks * log(groups) - lgamma(groups + 1)
