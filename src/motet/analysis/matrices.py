"""Square matrices over tasks, as users give them."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from motet.analysis.numbers import Numbers, as_numbers
from motet.problems import InputError


class OverTasks(Protocol):
    """Names and a matrix, such as `Similarity`."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """The T tasks."""

    @property
    def matrix(self) -> Numbers:
        """(T, T)."""


Square = OverTasks | Mapping[str, Mapping[str, float]]
"""A matrix over tasks; as a dictionary {task: {other: value}}, the diagonal may be left out."""


def square(given: Square, owner: str) -> tuple[tuple[str, ...], Numbers]:
    """Return names and matrix, with a diagonal of 0 where a dictionary has none.

    Raises:
        InputError: If there is no finite value for some pair of tasks.
    """
    if not isinstance(given, Mapping):
        tasks, matrix = tuple(given.tasks), as_numbers(given.matrix, owner)
    else:
        tasks = tuple(given)
        rows = [[given[i].get(j, 0.0 if i == j else np.nan) for j in tasks] for i in tasks]
        matrix = as_numbers(rows, owner)
        unknown = sorted({each for row in given.values() for each in row} - set(tasks))
        if unknown:
            raise InputError(
                f"found values for {unknown[0]!r} and no row of it; expected a row for every task",
                option=owner,
            )
    if not tasks or matrix.shape != (len(tasks), len(tasks)):
        raise InputError(
            f"found {len(tasks)} tasks and shape {matrix.shape}; expected one row and one column "
            "for every task",
            option=owner,
        )
    apart = ~np.isfinite(matrix) & ~np.eye(len(tasks), dtype=bool)
    if apart.any():
        i, j = np.argwhere(apart)[0]
        raise InputError(
            f"found no finite value for {tasks[i]!r} and {tasks[j]!r}; expected one for every two "
            "tasks; leave out a task that cannot be compared",
            option=owner,
        )
    return tasks, matrix
