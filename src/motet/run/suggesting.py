"""Groups of tasks that a run suggests, as a config that is ready to train."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from motet.analysis import cluster, groupings
from motet.analysis.certainty import Measurements, unsure_pairs
from motet.analysis.clusters import with_others
from motet.analysis.groupings import ENOUGH
from motet.data.selection import listed
from motet.figures import counted
from motet.problems import InputError
from motet.run import folder
from motet.run.task_analysis import TaskAnalysis, read_analysis
from motet.sharing import Direct, SharedModule

By = Literal["affinity", "gradients"]
_NAMED = 3
"""Unsure pairs of tasks that are named."""


@dataclass(frozen=True)
class Suggestion:
    """Groups of tasks, and the config that trains them so."""

    groups: tuple[tuple[str, ...], ...]
    """In the order of their first tasks."""
    value: float | None
    """Sum over tasks of the mean affinity that they get in their group; None by gradients."""
    unsure: tuple[tuple[str, str], ...]
    """Pairs of tasks that might as well be grouped otherwise, as measurements vary from step to
    step; see `motet.analysis.certainty`."""
    note: str
    """The same in words; empty if every pair is sure."""
    config: Mapping[str, Any]
    """The config of the run with ``model.sharing.groups``, for `motet.train`."""

    def __str__(self) -> str:
        text = "; ".join(", ".join(group) for group in self.groups)
        return f"{text}\n{self.note}" if self.note else text

    @property
    def yaml(self) -> str:
        """The config as a file holds it, and the note as a comment."""
        text: str = yaml.safe_dump(dict(self.config), sort_keys=False, allow_unicode=True)
        return f"# {self.note}\n{text}" if self.note else text

    def write(self, path: str | Path) -> Path:
        """Write the config.

        Args:
            path: The file.

        Returns:
            Its path.
        """
        folder.write_text(Path(path), self.yaml)
        return Path(path)


def suggest(
    path: Path, sharing: SharedModule, tasks: Sequence[str], number: int | None, by: By
) -> Suggestion:
    """Suggest groups of tasks; see `motet.Run.suggest_groups`.

    Args:
        path: The run folder.
        sharing: The sharing scheme of its model.
        tasks: The tasks of its model.
        number: How many groups at most.
        by: What they follow from.

    Returns:
        The groups and the config.
    """
    found = read_analysis(path)
    measured, groups, value, enough = _groups(found, number, by)
    clustered = by == "gradients" and number is None
    unsure = unsure_pairs(measured, groups, most=number, enough=enough, clustered=clustered)
    whole = with_others(groups, groupable(sharing, tasks))
    config = yaml.safe_load((path / folder.CONFIG).read_text(encoding="utf-8"))
    config["model"]["sharing"]["groups"] = whole if len(whole) > 1 else None
    note = unsure_note(unsure, measured)
    if note:
        note += "; measure more often (training.analysis: {every: ...}), or train longer"
    return Suggestion(tuple(map(tuple, whole)), value, tuple(unsure), note, config)


def _groups(
    found: TaskAnalysis, number: int | None, by: By
) -> tuple[Measurements, Sequence[Sequence[str]], float | None, float]:
    """Return what was measured, the groups, their value, and the share that fewer may reach."""
    if by not in ("affinity", "gradients"):
        raise InputError(f"found {by!r}; expected affinity or gradients", option="by")
    if by == "gradients":
        ways: dict[str, Any] = {"distance": 1.0} if number is None else {"groups": number}
        return found.cosines, cluster(found.cosines, **ways), None, 1.0
    if found.affinities is None:
        raise InputError(
            "found a run without affinity; train it with training.analysis: {affinity: "
            "first_order}, or choose by='gradients'",
            option="by",
        )
    best = groupings(found.affinities, groups=number)
    return found.affinities, best.groups, best.value, ENOUGH if number is None else 1.0


def unsure_note(unsure: Sequence[tuple[str, str]], measured: Measurements) -> str:
    """Return which pairs of tasks might as well be grouped otherwise; empty if none."""
    if not unsure:
        return ""
    tasks = len(measured.tasks)
    steps = int(measured.steps[~np.eye(tasks, dtype=bool)].min())
    every = len(unsure) == tasks * (tasks - 1) // 2
    pairs = listed((f"{one} and {other}" for one, other in unsure), _NAMED)
    decide = "any groups" if every else f"whether these tasks share a group: {pairs}"
    return f"measurements at {counted(steps, 'step')} vary too much to decide {decide}"


def groupable(sharing: SharedModule, tasks: Sequence[str]) -> list[str]:
    """Return the tasks that have groups: all but those that read the states of the encoder."""
    apart = sharing.direct if isinstance(sharing, Direct) else frozenset[str]()
    return [task for task in tasks if task not in apart]
