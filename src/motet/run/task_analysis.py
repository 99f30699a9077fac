"""What a run measured of how its tasks agree while they trained: ``analysis.json``."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.analysis import Similarity
from motet.analysis.certainty import Measurements
from motet.problems import MALFORMED, InputError, reason
from motet.run import folder
from motet.training import History

Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class GroupsFound:
    """Groups of tasks that were found at the end of an epoch."""

    epoch: int
    """The epoch, counted from 1."""
    by: str
    """What tasks were compared by: gradients, performance or data."""
    similarity: Similarity
    """How similar the tasks that were compared are; NaN where nothing is known of a pair."""
    groups: tuple[tuple[str, ...], ...]
    """In which tasks were tied from then on."""


@dataclass(frozen=True, eq=False)
class TaskAnalysis:
    """How the gradients of T tasks agreed, over all steps that measured them."""

    cosines: Measurements
    """Exponential means over steps of the cosines between gradients on the shared parameters, or on
    the tied ones where groups are found by gradients; NaN if never measured."""
    by_group: Mapping[str, Similarity]
    """The same on each group of layers, by its name."""
    conflicts: Matrix
    """Share of steps at which the cosine was below 0, (T, T); NaN if never measured."""
    affinities: Measurements | None
    """Share of the target's loss that a step of gradient descent for the source alone removes, of
    source to target, averaged over training; None if it was not measured."""
    norms: Mapping[str, Mapping[str, float]]
    """Mean and variance of each task's gradient norm, and the count of steps."""
    refreshes: tuple[GroupsFound, ...] = ()
    """The groups of tasks that were found while training, where ``model.sharing.groups`` asks for
    it."""

    @property
    def similarity(self) -> Similarity:
        """The mean cosines."""
        return Similarity(self.cosines.tasks, self.cosines.matrix, self.cosines.steps)

    @property
    def affinity(self) -> Mapping[str, Mapping[str, float]] | None:
        """The mean affinities, ``{source: {target: affinity}}``; None if they were not measured."""
        if self.affinities is None:
            return None
        rows = zip(self.tasks, self.affinities.matrix.tolist(), strict=True)
        return {source: dict(zip(self.tasks, row, strict=True)) for source, row in rows}

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks, in the order of rows and columns."""
        return self.cosines.tasks


def write_analysis(path: Path, statistics: Mapping[str, Any], history: History) -> None:
    """Write what a trainer measured, if it measured anything.

    Args:
        path: The run folder.
        statistics: See `motet.Trainer.statistics`.
        history: The records of epochs, some of which have groups of tasks.
    """
    refreshes = [{"epoch": r["epoch"], **r["groups"]} for r in history if r.get("groups")]
    content = {} if statistics["pairs"] is None else dict(statistics["pairs"])
    if content:
        content["norms"] = statistics["gradients"]
    if refreshes:
        content["refreshes"] = refreshes
    if content:
        folder.write_json(path / folder.ANALYSIS, content)


def read_analysis(path: Path) -> TaskAnalysis:
    """Read the analysis of a run.

    Args:
        path: The run folder.

    Returns:
        The analysis.

    Raises:
        InputError: If the run has none, or the file is damaged.
    """
    file = path / folder.ANALYSIS
    if not file.is_file():
        raise InputError(
            f"found no {folder.ANALYSIS} in {path}; expected a finished run of at least two tasks "
            "that share parameters, with training.analysis (the default) and enough steps for it "
            "(in a short run, every: 1), or of groups that are found while training; folds have "
            "their own"
        )
    try:
        return _read(json.loads(file.read_text(encoding="utf-8")))
    except MALFORMED as error:
        raise InputError(
            f"{file} is damaged ({reason(error)}); restore it from a copy, or train again"
        ) from None


def _read(found: Mapping[str, Any]) -> TaskAnalysis:
    refreshes = tuple(map(_refresh, found.get("refreshes", ())))
    if "tasks" not in found:  # the tasks were compared by other means
        tasks = refreshes[-1].similarity.tasks
        nothing = np.full((len(tasks), len(tasks)), np.nan)
        cosines = Measurements(tasks, nothing, nothing, np.zeros_like(nothing, dtype=np.int64))
        return TaskAnalysis(cosines, {}, nothing, None, {}, refreshes)
    cosines = _measurements(found, "cosines", "cosine_errors", "steps")
    groups = found.get("cosines_by_group", {})
    return TaskAnalysis(
        cosines,
        {
            name: Similarity(cosines.tasks, _matrix(each), cosines.steps)
            for name, each in groups.items()
        },
        _matrix(found["conflicts"]),
        _measurements(found, "affinity", "affinity_errors", "affinity_steps")
        if "affinity" in found
        else None,
        found["norms"],
        refreshes,
    )


def _measurements(found: Mapping[str, Any], matrix: str, errors: str, steps: str) -> Measurements:
    means = _matrix(found[matrix])
    return Measurements(
        tuple(found["tasks"]), means, _matrix(found[errors]), np.array(found[steps], dtype=np.int64)
    )


def _refresh(found: Mapping[str, Any]) -> GroupsFound:
    counts = np.array(found["counts"], dtype=np.int64).reshape(2 * [len(found["tasks"])])
    matrix = _matrix(found["similarity"]).reshape(counts.shape)
    measured = Similarity(tuple(found["tasks"]), matrix, counts)
    groups = tuple(map(tuple, found["groups"]))
    return GroupsFound(int(found["epoch"]), str(found["by"]), measured, groups)


def _matrix(rows: Any) -> Matrix:
    return np.array([[np.nan if x is None else x for x in row] for row in rows], dtype=np.float64)
