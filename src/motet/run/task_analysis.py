"""What a run measured of how its tasks agree while they trained: ``analysis.json``."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.analysis import Similarity
from motet.problems import MALFORMED, InputError, reason
from motet.run import folder

Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TaskAnalysis:
    """How the gradients of T tasks agreed, over all steps that measured them."""

    similarity: Similarity
    """Exponential mean over steps of the cosines between gradients on the shared parameters."""
    by_group: Mapping[str, Similarity]
    """The same on each group of layers, by its name."""
    conflicts: Matrix
    """Share of steps at which the cosine was below 0, (T, T); NaN if never measured."""
    affinity: Mapping[str, Mapping[str, float]] | None
    """``{source: {target: share of the target's loss}}`` that a step of gradient descent for the
    source alone removes, averaged over training; NaN where unknown, None if it was not measured."""
    norms: Mapping[str, Mapping[str, float]]
    """Mean and variance of each task's gradient norm, and the count of steps."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks, in the order of rows and columns."""
        return self.similarity.tasks


def write_analysis(path: Path, statistics: Mapping[str, Any]) -> None:
    """Write what a trainer measured, if it measured anything.

    Args:
        path: The run folder.
        statistics: See `motet.Trainer.statistics`.
    """
    if statistics["pairs"] is not None:
        content = {**statistics["pairs"], "norms": statistics["gradients"]}
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
            "that share parameters, with training.analysis (the default); folds have their own"
        )
    try:
        return _read(json.loads(file.read_text(encoding="utf-8")))
    except MALFORMED as error:
        raise InputError(
            f"{file} is damaged ({reason(error)}); restore it from a copy, or train again"
        ) from None


def _read(found: Mapping[str, Any]) -> TaskAnalysis:
    tasks, steps = tuple(found["tasks"]), np.array(found["steps"], dtype=np.int64)
    groups = found.get("cosines_by_group", {})
    affinity = found.get("affinity")
    return TaskAnalysis(
        Similarity(tasks, _matrix(found["cosines"]), steps),
        {name: Similarity(tasks, _matrix(each), steps) for name, each in groups.items()},
        _matrix(found["conflicts"]),
        None if affinity is None else _by_name(tasks, _matrix(affinity)),
        found["norms"],
    )


def _matrix(rows: Any) -> Matrix:
    return np.array([[np.nan if x is None else x for x in row] for row in rows], dtype=np.float64)


def _by_name(tasks: tuple[str, ...], matrix: Matrix) -> dict[str, dict[str, float]]:
    return {
        source: dict(zip(tasks, row, strict=True))
        for source, row in zip(tasks, matrix.tolist(), strict=True)
    }
