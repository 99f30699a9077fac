"""Running statistics of tasks and pairs over the steps at which their gradients are measured.

A step counts for the pairs whose tasks both take part, so every pair has counts of its own. What is
averaged are the cosines of steps, not gradients: the cosine of mean gradients may have the opposite
sign. Sums are float64 on the host, T x T each, and part of checkpoints. Steps wait in a list for a
while, which changes no bit of the result, so that a step costs next to nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.training.statistics import Matrix, Measured, add_norms, cosines_of

BETA = 0.99
"""Share of the steps before that an exponential mean keeps: it is of about the last 100."""
_WAITING = 50
_COUNT, _TOTAL, _RECENT, _CONFLICTS = "count", "total", "recent", "conflicts"
_SQUARES = "recent squares"
_LOOKS, _AFFINITY, _AFFINITY_SQUARES = "looks", "affinity", "affinity squares"


class Pairs:
    """Statistics of T tasks, in the order in which they were first measured.

    Args:
        norms: Count, mean and sum of squared deviations of each task's norms, to continue from.
        sums: Sums (T, T) by name, to continue from.
    """

    def __init__(
        self,
        norms: Mapping[str, Sequence[float]] | None = None,
        sums: Mapping[str, Matrix] | None = None,
    ) -> None:
        self._norms = {task: list(each) for task, each in (norms or {}).items()}
        self._sums: dict[str, Matrix] = dict(sums or {})
        self._waiting: list[tuple[Measured, Matrix | None]] = []

    def add(self, measured: Measured, affinity: Matrix | None = None) -> None:
        """Add a step.

        Args:
            measured: The inner products of its task gradients; a task with infinite ones does not
                count.
            affinity: What a step along each gradient would do to each loss (T', T'); NaN where that
                is not known. To first order it follows from the losses in ``measured``.
        """
        self._waiting.append((measured, affinity))
        if len(self._waiting) >= _WAITING:
            self._add_up()

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that were measured."""
        return tuple(self.norms)

    @property
    def norms(self) -> dict[str, list[float]]:
        """Count, mean and sum of squared deviations of each task's norms."""
        self._add_up()
        return self._norms

    @property
    def sums(self) -> dict[str, Matrix]:
        """Sums (T, T) by name."""
        self._add_up()
        return self._sums

    @property
    def groups(self) -> list[str]:
        """The groups of shared parameters that were measured."""
        ending = f"/{_COUNT}"
        return [name.removesuffix(ending) for name in self.sums if name.endswith(ending)]

    @property
    def counts(self) -> NDArray[np.int64] | None:
        """Steps that measured both tasks of a pair, (T, T); None if there was none."""
        found = self.sums.get(_COUNT)
        return None if found is None else found.astype(np.int64)

    def cosines(self, group: str | None = None) -> Matrix:
        """Return the exponential mean of the cosines (T, T), without the bias of its beginning.

        Args:
            group: On which group of the shared parameters; on all if left out.

        Returns:
            NaN for pairs that were never measured.
        """
        name = "" if group is None else f"{group}/"
        weight = 1 - BETA ** self.sums[f"{name}{_COUNT}"]
        return _divided(self.sums[f"{name}{_RECENT}"], weight)

    def cosine_errors(self) -> Matrix:
        """Return the standard errors of `cosines`, as steps vary; NaN of fewer than two steps.

        An exponential mean of many steps varies like the mean of (1 + β) / (1 - β) = 199 of them.
        """
        forgotten = BETA ** self.sums[_COUNT]
        steps = (1 - forgotten) * (1 + BETA) / ((1 - BETA) * (1 + forgotten))
        return _standard_error(self.cosines(), _divided(self.sums[_SQUARES], 1 - forgotten), steps)

    def summary(self) -> dict[str, Any] | None:
        """Return what was found of T tasks, as JSON can hold it; None if nothing was measured.

        Matrices (T, T) have None where a pair is unknown: ``steps`` that measured both tasks, the
        exponential mean of their ``cosines``, ``mean_cosines`` of all steps, the share of steps
        with a negative one as ``conflicts``, ``affinity`` of row to column, averaged over
        ``affinity_steps``, and ``cosines_by_group``. ``cosine_errors`` and ``affinity_errors`` are
        standard errors.
        """
        sums = self.sums
        if not sums:
            return None
        count = sums[_COUNT]
        found = {
            "tasks": list(self.tasks),
            "steps": count.astype(int).tolist(),
            "cosines": plain(self.cosines()),
            "cosine_errors": plain(self.cosine_errors()),
            "mean_cosines": plain(_divided(sums[_TOTAL], count)),
            "conflicts": plain(_divided(sums[_CONFLICTS], count)),
        }
        if _LOOKS in sums:
            looks = sums[_LOOKS]
            affinity = _divided(sums[_AFFINITY], looks)
            squares = _divided(sums[_AFFINITY_SQUARES], looks)
            found["affinity"] = plain(affinity)
            found["affinity_errors"] = plain(_standard_error(affinity, squares, looks))
            found["affinity_steps"] = looks.astype(int).tolist()
        if self.groups:
            groups = self.groups
            found["cosines_by_group"] = {group: plain(self.cosines(group)) for group in groups}
        return found

    def _add_up(self) -> None:
        waiting, self._waiting = self._waiting, []
        for measured, affinity in waiting:
            self._add(measured, affinity)

    def _add(self, measured: Measured, affinity: Matrix | None) -> None:
        norms = measured.norms  # of tasks whose gradients are finite
        new = [task for task in norms if task not in self._norms]
        if new:
            self._sums = {name: np.pad(each, (0, len(new))) for name, each in self._sums.items()}
        add_norms(self._norms, norms)
        order = list(self._norms)
        here = np.ix_(*[[order.index(task) for task in norms]] * 2)
        pick = np.ix_(*[[measured.tasks.index(task) for task in norms]] * 2)
        self._add_cosines("", here, measured.gramian[pick])
        self._add_recent(_SQUARES, here, cosines_of(measured.gramian[pick]) ** 2)
        for group, gramian in measured.by_group.items():
            self._add_cosines(f"{group}/", here, gramian[pick])
        if affinity is not None:
            known = np.isfinite(affinity[pick])
            self._sum(_LOOKS)[here] += known
            values = np.where(known, affinity[pick], 0.0)
            self._sum(_AFFINITY)[here] += values
            self._sum(_AFFINITY_SQUARES)[here] += values**2

    def _add_cosines(self, name: str, here: Any, gramian: Matrix) -> None:
        cosines = cosines_of(gramian)
        self._sum(f"{name}{_COUNT}")[here] += 1
        self._sum(f"{name}{_TOTAL}")[here] += cosines
        self._add_recent(f"{name}{_RECENT}", here, cosines)
        self._sum(f"{name}{_CONFLICTS}")[here] += cosines < 0

    def _add_recent(self, name: str, here: Any, values: Matrix) -> None:
        recent = self._sum(name)
        recent[here] += (1 - BETA) * (values - recent[here])

    def _sum(self, name: str) -> Matrix:
        return self._sums.setdefault(name, np.zeros((len(self._norms),) * 2))


def plain(matrix: Matrix) -> list[list[float | None]]:
    """Return a matrix as JSON can hold it, rounded, with None for NaN."""
    return [[None if np.isnan(x) else float(f"{x:.6g}") for x in row] for row in matrix.tolist()]


def _divided(total: Matrix, weight: Matrix) -> Matrix:
    return np.divide(total, weight, out=np.full_like(total, np.nan), where=weight > 0)


def _standard_error(mean: Matrix, squares: Matrix, steps: Matrix) -> Matrix:
    """Return the standard error of means over steps, from the means of squares."""
    variance = np.maximum(squares - mean**2, 0)
    return np.sqrt(_divided(variance, np.where(steps > 1.5, steps - 1, 0)))
