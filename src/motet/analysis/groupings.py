"""Groups of tasks that help each other most, by search over affinities.

The value of groups is the sum over tasks of the mean affinity from the others of their group
(TAG, Fifty et al., NeurIPS 2021, arXiv:2109.04617); a task that is alone gains and loses nothing.
Local search finds good groups, and branch and bound the best within its budget. Beyond the paper
each task trains in one group; there it may also help in further ones.
"""

from dataclasses import dataclass

import numpy as np

from motet.analysis.matrices import Square, square
from motet.analysis.numbers import Numbers
from motet.problems import InputError

_BUDGET = 2_000_000
"""Partial groups that branch and bound examines, times the square of the number of tasks; enough
for about ten tasks."""

ENOUGH = 0.9
"""Share of the highest value that is enough: every group costs one more encoder."""

Groups = list[list[int]]


@dataclass(frozen=True)
class Grouping:
    """Groups of tasks."""

    groups: tuple[tuple[str, ...], ...]
    """In order of their first tasks."""
    value: float
    """Sum over tasks of the mean affinity that they get in their group."""
    optimal: bool
    """Whether no other groups have a higher value; False where the search ended before."""


def groupings(affinity: Square, *, groups: int | None = None) -> Grouping:
    """Find the groups of tasks with the highest affinity.

    Args:
        affinity: {source: {target: affinity}}, or ``matrix[i, j]`` of task i on task j.
        groups: Number of groups at most; every group costs one more model. If left out, as few as
            reach 90 % of the highest value.

    Returns:
        The groups; those of the highest value among so many.

    Raises:
        InputError: If an affinity is missing, or ``groups`` is not positive.

    Example:
        >>> z = {"a": {"b": 0.2, "c": -0.1}, "b": {"a": 0.1, "c": 0}, "c": {"a": -0.3, "b": 0.1}}
        >>> groupings(z, groups=2).groups
        (('a', 'b'), ('c',))
    """
    tasks, matrix = square(affinity, "affinity")
    if groups is not None and groups < 1:
        raise InputError(f"found {groups}; expected a number from 1 on", option="groups")
    z = matrix.copy()
    np.fill_diagonal(z, 0)
    search = _fewest(z) if groups is None else _Search(z, groups)
    found = sorted((sorted(each) for each in search.best), key=min)
    names = tuple(tuple(tasks[place] for place in each) for each in found)
    return Grouping(names, search.value, search.optimal)


def _fewest(z: Numbers) -> "_Search":
    most = _Search(z, len(z))
    fewer = (_Search(z, count) for count in range(1, len(z)))
    return next((each for each in fewer if each.value >= ENOUGH * most.value), most)


class _Search:
    """The best groups found; local search first, so that few branches are left to examine."""

    def __init__(self, z: Numbers, limit: int) -> None:
        self._z, self._limit, self._left = z, limit, _BUDGET // len(z) ** 2
        strength = np.abs(z).sum(axis=0) + np.abs(z).sum(axis=1)
        self._order = np.argsort(-strength, kind="stable").tolist()
        self.best = self._local(self._merged())
        self.value = _value(z, self.best)
        self._branch([], 0)
        self.optimal = self._left > 0

    def _merged(self) -> Groups:
        """Merge the two groups that gain most, while it helps or there are too many."""
        groups = [[each] for each in range(len(self._z))]
        while len(groups) > 1:
            pairs = [(i, j) for i in range(len(groups)) for j in range(i)]
            gains = [self._gain(groups[i], groups[j]) for i, j in pairs]
            place = int(np.argmax(gains))
            if gains[place] <= 0 and len(groups) <= self._limit:
                break
            i, j = pairs[place]
            groups[j] += groups.pop(i)
        return groups

    def _gain(self, one: list[int], other: list[int]) -> float:
        return _value(self._z, [one + other]) - _value(self._z, [one, other])

    def _local(self, groups: Groups) -> Groups:
        """Move single tasks while that helps."""
        improved = True
        while improved:
            improved = sum(self._moved(groups, task) for task in range(len(self._z))) > 0
        return groups

    def _moved(self, groups: Groups, task: int) -> bool:
        """Move a task to where it helps most, or to a group of its own; return whether it did."""
        own = next(group for group in groups if task in group)
        left = [each for each in own if each != task]
        targets = [group for group in groups if group is not own]
        targets += [[]] if left and len(groups) < self._limit else []
        lost = _value(self._z, [own]) - _value(self._z, [left])
        gains = [self._gain(group, [task]) - lost for group in targets]
        if not gains or max(gains) <= 1e-12:
            return False
        target = targets[int(np.argmax(gains))]
        groups[:] = [each for each in (*groups, target) if each is not own and each is not target]
        groups += [each for each in (left, [*target, task]) if each]
        return True

    def _branch(self, groups: Groups, placed: int) -> None:
        """Place the next task in each group, or in one of its own."""
        self._left -= 1
        if self._left <= 0:
            return
        if placed == len(self._order):
            value = _value(self._z, groups)
            if value > self.value + 1e-12:
                self.best, self.value = [list(each) for each in groups], value
            return
        if self._bound(groups, placed) <= self.value + 1e-12:
            return
        task = self._order[placed]
        for group in groups:
            group.append(task)
            self._branch(groups, placed + 1)
            group.pop()
        if len(groups) < self._limit:
            groups.append([task])
            self._branch(groups, placed + 1)
            groups.pop()

    def _bound(self, groups: Groups, placed: int) -> float:
        """Return what no completion of these groups exceeds: the best mean of each task, added."""
        rest = self._order[placed:]
        total = 0.0
        for group in groups:
            for task in group:
                own = [self._z[each, task] for each in group if each != task]
                total += _best_mean(own, self._z[rest, task])
        for task in rest:
            total += max(0.0, float(np.delete(self._z[:, task], task).max(initial=0.0)))
        return total


def _best_mean(own: list[float], others: Numbers) -> float:
    """Return the highest mean of numbers that are in, and any of the others; 0 of none."""
    mean, total, count = (sum(own) / len(own) if own else 0.0), sum(own), len(own)
    for each in np.sort(others)[::-1].tolist():
        if each <= mean:
            break
        total, count = total + each, count + 1
        mean = total / count
    return mean


def _value(z: Numbers, groups: Groups) -> float:
    return float(sum(z[np.ix_(g, g)].sum() / (len(g) - 1) for g in groups if len(g) > 1))
