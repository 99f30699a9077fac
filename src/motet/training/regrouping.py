"""Groups of tasks that are found while a model trains: tied networks are compared, and clustered.

A refresh comes at the end of every so-many-th epoch. Tasks of which nothing is known, such as
auxiliary ones without labels, join the largest group; of pairs of which nothing is known, the
similarity counts as 0. Average linkage merges what is left, and groups are numbered by their first
task, so that they do not jump between refreshes.

Correlations of errors vanish when models have learned what tasks have in common, and are noise
then: groups stay as they are unless the correlations speak clearly for others.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.analysis import Similarity, cluster, similarity
from motet.analysis.clusters import with_others
from motet.analysis.evidence import favours
from motet.data.batches import Data
from motet.figures import counted
from motet.model import MultiTaskModel
from motet.options.mappings import epochs_between, too_rare_groups
from motet.problems import InputError
from motet.processes import Processes
from motet.sharing.tied import Tied, tied_in
from motet.training.compared_rows import own_states, row_scores
from motet.training.pairs import Pairs, plain

_MOST_ROWS = 1_000
"""Validation rows from which CKA is computed, up to twice as many: the estimate of unrelated
representations then varies by about 0.03, and products of T (T - 1) / 2 pairs stay cheap."""
_FEWEST_ROWS = 4
"""That CKA without bias needs."""

_NEEDED = {
    "gradients": "expected steps that train two tasks, whose networks are not frozen",
    "performance": "expected validation rows that have labels of two tasks, of kinds with errors",
    "data": f"expected two tasks that are enabled, and at least {_FEWEST_ROWS} validation rows",
}
"""By what tasks are compared by, what that needs."""


@dataclass(frozen=True)
class Refresh:
    """What was found at the end of an epoch."""

    by: str
    similarity: Similarity
    """Of the tasks that were compared; NaN where nothing is known of a pair."""
    groups: tuple[tuple[str, ...], ...]
    """In which tasks are tied from now on."""
    changed: bool
    """Whether they are others than before."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "by": self.by,
            "tasks": list(self.similarity.tasks),
            "similarity": plain(self.similarity.matrix),
            "counts": self.similarity.counts.tolist(),
            "groups": [list(group) for group in self.groups],
            "changed": self.changed,
        }


class Regrouping:
    """Finds the groups in which tasks are tied.

    Args:
        model: The model; without a scheme whose groups change, nothing is ever due.
        processes: The processes that train it; the first decides.
    """

    def __init__(self, model: MultiTaskModel, processes: Processes) -> None:
        self._model, self._processes = model, processes
        self._tied: Tied | None = tied_in(model.sharing)

    @property
    def active(self) -> bool:
        """Whether groups change."""
        return self._tied is not None

    @property
    def every(self) -> int:
        """Epochs from one refresh to the next."""
        return epochs_between(self._tied.found) if self._tied is not None else 0

    def check(self, valid: Data | None) -> None:
        """Check that there are the validation data that tasks are compared on.

        Raises:
            InputError: If not.
        """
        by = "gradients" if self._tied is None else self._tied.found["by"]
        if by != "gradients" and valid is None:
            raise InputError(
                f"found groups by {by} and no validation data, on which tasks are compared; give "
                "some (validation=, or split: {validation: 0.15}), or choose by: gradients",
                option="groups.by",
            )

    def check_epochs(self, epochs: int) -> None:
        """Check that other groups would be trained before so many epochs end.

        Raises:
            InputError: If not.
        """
        if epochs and self.every >= epochs:
            raise InputError(too_rare_groups(self.every, epochs), option="groups.every")

    def refresh(
        self, epoch: int, pairs: Pairs, valid: Data | None, batch_size: int
    ) -> Refresh | None:
        """Find the groups anew, if they are due, and tie tasks within them.

        Args:
            epoch: The epoch that ends.
            pairs: What was measured of the tasks' gradients.
            valid: The validation data.
            batch_size: Rows per forward pass.

        Returns:
            What was found; None if nothing was due.
        """
        if self._tied is None or epoch % self.every:
            return None
        found, before = self._tied.found, self._tied.groups
        names = [t for t in self._tied.counterparts() if t in self._model.active_tasks]
        measured = self._processes.of_first(self._measured(names, pairs, valid, batch_size))
        every = list(self._tied.counterparts())
        known = grouped(measured, every, found["number"])
        if epoch == self.every:
            self._warn(epoch, measured, nothing=known is None)
        groups = known or before
        if found["by"] == "performance" and not favours(measured, groups, before):
            groups = before
        self._tied.regroup(groups)
        now = tuple(map(tuple, groups))
        return Refresh(found["by"], measured, now, groups != before)

    def _warn(self, epoch: int, found: Similarity, *, nothing: bool) -> None:
        """Warn about tasks that could not be compared."""
        assert self._tied is not None
        by = self._tied.found["by"]
        pairs = _unknown_pairs(found)
        if nothing:
            problem = f"found no two tasks that can be compared by {by} at the end of epoch {epoch}"
            result = "their groups stay as they are"
        elif pairs:
            first = " and ".join(pairs[0])
            problem = f"{counted(len(pairs), 'pair')} of tasks, first {first}, cannot be compared "
            problem += f"by {by} at the end of epoch {epoch}"
            result = "they count as not similar"
        else:
            return
        warnings.warn(
            f"sharing: {problem}, so that {result}: {_NEEDED[by]}; choose another way, or groups: "
            "[[...], [...]]",
            stacklevel=4,
        )

    def _measured(
        self, names: Sequence[str], pairs: Pairs, valid: Data | None, batch_size: int
    ) -> Similarity:
        assert self._tied is not None
        by = self._tied.found["by"]
        if by == "gradients":
            counts = pairs.counts
            return (
                unknown(()) if counts is None else Similarity(pairs.tasks, pairs.cosines(), counts)
            )
        if len(names) < 2:
            return unknown(names)
        self.check(valid)
        assert valid is not None
        given: dict[str, Any] = {"batch_size": batch_size, "tasks": names}
        given["processes"] = self._processes
        if by == "performance":
            rows = row_scores(self._model, valid, **given)
            return similarity({t: each.numpy() for t, each in rows.items()}, by="performance")
        states = own_states(self._model, valid, most=_MOST_ROWS, **given)
        if len(states[names[0]]) < _FEWEST_ROWS:
            return unknown(names)
        values = {task: each.numpy() for task, each in states.items()}
        return similarity(values, by="representations")


def grouped(found: Similarity, tasks: Sequence[str], number: int) -> list[list[str]] | None:
    """Cluster tasks.

    Args:
        found: How similar tasks are, of some of them.
        tasks: All tasks.
        number: How many groups, fewer if fewer tasks are known.

    Returns:
        The groups; None if nothing is known of two tasks.
    """
    matrix = found.matrix.copy()
    np.fill_diagonal(matrix, np.nan)
    known = [at for at, row in enumerate(np.isfinite(matrix)) if row.any()]
    if len(known) < 2:
        return None
    names = tuple(found.tasks[at] for at in known)
    some = np.ix_(known, known)
    own = Similarity(names, np.nan_to_num(matrix[some], nan=0.0), found.counts[some])
    return with_others(cluster(own, groups=min(number, len(names))), tasks)


def _unknown_pairs(found: Similarity) -> list[tuple[str, str]]:
    """Return the pairs of which nothing is known, of tasks that others are compared with."""
    matrix = found.matrix.copy()
    np.fill_diagonal(matrix, np.nan)
    compared: NDArray[np.bool_] = np.asarray(np.isfinite(matrix).any(axis=0))
    missing = np.triu(~np.isfinite(matrix) & compared & compared[:, None], 1)
    pairs = zip(*np.nonzero(missing), strict=True)
    return [(found.tasks[i], found.tasks[j]) for i, j in pairs]


def unknown(tasks: Sequence[str]) -> Similarity:
    """Return the similarity of tasks of which nothing is known."""
    count = len(tasks)
    return Similarity(
        tuple(tasks), np.full((count, count), np.nan), np.zeros((count, count), dtype=np.int64)
    )
