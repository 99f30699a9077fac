"""Clusters of similar tasks: average linkage, or spectral clustering."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from motet.analysis.matrices import Square, square
from motet.analysis.numbers import Numbers
from motet.problems import InputError

_ROUNDS = 100
"""At most so many rounds of k-means; a few suffice."""


def cluster(
    similarity: Square,
    *,
    groups: int | None = None,
    distance: float | None = None,
    method: Literal["average", "spectral"] = "average",
) -> list[list[str]]:
    """Cluster tasks by their similarity.

    ``average`` merges the two groups with the smallest mean distance 1 - ρ between their tasks,
    until there are ``groups`` of them or the smallest is above ``distance``. ``spectral`` runs
    k-means on the eigenvectors of the graph Laplacian with the affinity max(ρ, 0) (Ng et al.,
    NeurIPS 2001).

    Args:
        similarity: A `Similarity`, or {task: {other: value}}; symmetric, 1 for the same task.
        groups: Number of groups.
        distance: Largest mean distance at which groups are merged, instead of ``groups``.
        method: How to cluster.

    Returns:
        The tasks of each group, in order of the first: names do not jump between two calls.

    Raises:
        InputError: If the matrix is not symmetric, or not exactly one of ``groups`` and
            ``distance`` is given and possible.

    Example:
        >>> cluster({"a": {"b": 0.1, "c": 0.9}, "b": {"a": 0.1, "c": 0}, "c": {"a": 0.9, "b": 0}},
        ...         groups=2)
        [['a', 'c'], ['b']]
    """
    tasks, matrix = square(similarity, "similarity")
    if not np.allclose(matrix, matrix.T, atol=1e-6):
        raise InputError(
            "found a matrix that is not symmetric; average both directions first, or use groupings",
            option="similarity",
        )
    _check_end(groups, distance, method, len(tasks))
    if method == "spectral":
        assert groups is not None
        labels = _spectral(np.maximum(matrix, 0), groups)
        members = [np.flatnonzero(labels == each).tolist() for each in range(groups)]
        if not all(members):
            raise InputError(
                f"found fewer than {groups} groups of tasks that differ; use fewer, or average",
                option="groups",
            )
    else:
        members = _average(1 - matrix, groups or 1, np.inf if distance is None else distance)
    return [[tasks[place] for place in sorted(each)] for each in sorted(members, key=min)]


def with_others(groups: Sequence[Sequence[str]], tasks: Sequence[str]) -> list[list[str]]:
    """Add tasks that were not compared, such as auxiliary ones, to the largest group.

    Args:
        groups: Groups of some tasks.
        tasks: All tasks.

    Returns:
        Groups of all tasks, those of a group in the order of ``tasks``, in the order of the first.

    Example:
        >>> with_others([["c"], ["b", "d"]], ["a", "b", "c", "d"])
        [['a', 'b', 'd'], ['c']]
    """
    known = {task for group in groups for task in group}
    largest = max(groups, key=len)
    rest = {task for task in tasks if task not in known}
    whole = [rest.union(group) if group is largest else set(group) for group in groups]
    inside = [[task for task in tasks if task in group] for group in whole]
    return sorted(filter(None, inside), key=lambda group: tasks.index(group[0]))


def _average(distances: Numbers, groups: int, largest: float) -> list[list[int]]:
    members = [[each] for each in range(len(distances))]
    between = distances.astype(np.float64).copy()
    np.fill_diagonal(between, np.inf)
    while len(members) > groups:
        i, j = sorted(np.unravel_index(int(between.argmin()), between.shape))
        if between[i, j] > largest + 1e-12:
            break
        own, other = len(members[i]), len(members[j])
        joined = (own * between[i] + other * between[j]) / (own + other)
        between[i] = between[:, i] = joined
        between[i, i] = np.inf
        between = np.delete(np.delete(between, j, axis=0), j, axis=1)
        members[i] += members.pop(j)
    return members


def laplacian(affinity: Numbers) -> Numbers:
    """Return I - D^-½ A D^-½ of affinities (T, T), with 1 for the affinity of a task to itself."""
    own = affinity.copy()
    np.fill_diagonal(own, 1)
    scale = 1 / np.sqrt(own.sum(axis=1))
    found: Numbers = np.eye(len(own)) - scale[:, None] * own * scale
    return found


def _spectral(affinity: Numbers, groups: int) -> Numbers:
    vectors = np.linalg.eigh(laplacian(affinity))[1][:, :groups]
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    points = vectors / np.where(norms > 1e-12, norms, 1)
    found = [_k_means(points, start, groups) for start in range(len(points))]
    return min(found, key=lambda each: each[0])[1]


def _k_means(points: Numbers, start: int, groups: int) -> tuple[float, Numbers]:
    """Return the sum of squared distances and the labels; starts with points far from another."""
    chosen = [start]
    for _ in range(groups - 1):
        chosen.append(int(_squares(points, points[chosen]).min(axis=1).argmax()))
    centres, labels = points[chosen], np.full(len(points), -1)
    for _ in range(_ROUNDS):
        squares = _squares(points, centres)
        before, labels = labels, squares.argmin(axis=1)
        if (labels == before).all():
            break
        centres = np.stack(
            [
                points[labels == k].mean(axis=0) if (labels == k).any() else centres[k]
                for k in range(groups)
            ]
        )
    return round(float(squares.min(axis=1).sum()), 12), labels


def _squares(points: Numbers, centres: Numbers) -> Numbers:
    found: Numbers = np.square(points[:, None] - centres[None]).sum(axis=2)
    return found


def _check_end(groups: int | None, distance: float | None, method: str, tasks: int) -> None:
    if method not in ("average", "spectral"):
        raise InputError(f"found {method!r}; expected average or spectral", option="method")
    if (groups is None) == (distance is None):
        raise InputError("expected groups or distance, one of them", option="groups")
    if groups is not None and not 1 <= groups <= tasks:
        raise InputError(
            f"found {groups}; expected a number from 1 to {tasks}, the number of tasks",
            option="groups",
        )
    if groups is None and method == "spectral":
        raise InputError("spectral clustering has no distance; give groups", option="distance")
