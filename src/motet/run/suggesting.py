"""Groups of tasks that a run suggests, as a config that is ready to train."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from motet.analysis import cluster, groupings
from motet.analysis.clusters import with_others
from motet.problems import InputError
from motet.run import folder
from motet.run.task_analysis import TaskAnalysis, read_analysis
from motet.sharing import Direct, SharedModule

By = Literal["affinity", "gradients"]


@dataclass(frozen=True)
class Suggestion:
    """Groups of tasks, and the config that trains them so."""

    groups: tuple[tuple[str, ...], ...]
    """In the order of their first tasks."""
    value: float | None
    """Sum over tasks of the mean affinity that they get in their group; None by gradients."""
    config: Mapping[str, Any]
    """The config of the run with ``model.sharing.groups``, for `motet.train`."""

    @property
    def yaml(self) -> str:
        """The config as a file holds it."""
        text: str = yaml.safe_dump(dict(self.config), sort_keys=False, allow_unicode=True)
        return text

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
    groups, value = _groups(found, number, by)
    whole = with_others(groups, groupable(sharing, tasks))
    config = yaml.safe_load((path / folder.CONFIG).read_text(encoding="utf-8"))
    config["model"]["sharing"]["groups"] = whole if len(whole) > 1 else None
    return Suggestion(tuple(map(tuple, whole)), value, config)


def _groups(
    found: TaskAnalysis, number: int | None, by: By
) -> tuple[Sequence[Sequence[str]], float | None]:
    if by not in ("affinity", "gradients"):
        raise InputError(f"found {by!r}; expected affinity or gradients", option="by")
    if by == "gradients":
        ways: dict[str, Any] = {"distance": 1.0} if number is None else {"groups": number}
        return cluster(found.similarity, **ways), None
    if found.affinity is None:
        raise InputError(
            "found a run without affinity; train it with training.analysis: {affinity: "
            "first_order}, or choose by='gradients'",
            option="by",
        )
    best = groupings(found.affinity, groups=number)
    return best.groups, best.value


def groupable(sharing: SharedModule, tasks: Sequence[str]) -> list[str]:
    """Return the tasks that have groups: all but those that read the states of the encoder."""
    apart = sharing.direct if isinstance(sharing, Direct) else frozenset[str]()
    return [task for task in tasks if task not in apart]
