"""What a run changed for the tasks of the run that it started from: ``from_run.json``."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from motet.figures import figure
from motet.problems import MALFORMED, InputError, reason
from motet.run import folder
from motet.run.layout import columns, line, titled

Outcome = dict[str, dict[str, Any]]
"""Metrics by task, and its normalised ``score``."""


@dataclass(frozen=True)
class Change:
    """What a run changed for a task of an earlier run, on the new run's validation rows."""

    task: str
    path: str
    """The earlier run."""
    trained: bool
    """Whether the new run trains it, too; otherwise its old head reads the new encoder."""
    before: Mapping[str, float]
    """Its metrics, loss, count of labels and normalised ``score`` with the earlier weights."""
    after: Mapping[str, float]
    """Those with the weights of the new run."""

    @property
    def lost(self) -> float:
        """By how much the score fell; below 0 if it rose."""
        return self.before["score"] - self.after["score"]


def write_changes(
    path: Path,
    runs: Sequence[Mapping[str, Any]],
    trained: Collection[str],
    before: Outcome,
    after: Outcome,
) -> None:
    """Write ``from_run.json`` of a run folder.

    Args:
        path: The run folder.
        runs: The earlier runs, with ``path`` and ``parts``.
        trained: The tasks that it trains.
        before: What was found with the earlier weights.
        after: What was found with the new ones.
    """
    content = {
        "runs": list(runs),
        "tasks": {
            name: {
                "trained": name in trained,
                "before": before[name],
                "after": after[name],
            }
            for name in before
        },
    }
    folder.write_json(path / folder.EARLIER, folder.finite(content))


def read_changes(path: Path) -> dict[str, Change]:
    """Read what a run changed for the tasks of the run that it started from.

    Returns:
        The changes by task.

    Raises:
        InputError: If it did not start from one, or is not finished.
    """
    content = _read(path)
    if content is None:
        if (path / folder.FROM_RUN).is_dir() and not (path / folder.MODEL).is_dir():
            raise InputError(f"{path} is not finished; finish it: motet resume {path}")
        raise InputError(
            f"{path} did not start from another run's encoder; expected a run with from_run"
        )
    run = next((each["path"] for each in content["runs"] if "encoder" in each["parts"]), "")
    return {
        name: Change(name, run, each["trained"], _numbers(each["before"]), _numbers(each["after"]))
        for name, each in content["tasks"].items()
    }


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: float("nan") if value is None else value for name, value in values.items()}


def _read(path: Path) -> dict[str, Any] | None:
    file = path / folder.EARLIER
    if not file.is_file():
        return None
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        assert {"runs", "tasks"} <= content.keys()
    except (*MALFORMED, AssertionError) as error:
        raise InputError(f"{file} is not what motet writes: {reason(error)}") from None
    return content


def start_lines(runs: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Report what a run takes of earlier ones, which have ``path`` and ``parts``."""
    for each in runs:
        yield line("from run", f"{each['path']}: {', '.join(each['parts'])}")


def change_lines(changes: Mapping[str, Change]) -> Iterator[str]:
    """Report what tasks of the earlier run lost."""
    heads = ("task", "metric", "before", "after", "score before", "after", "change")
    rows = []
    for name, each in changes.items():
        metric = next(iter(each.before))
        values = (
            each.before[metric],
            each.after[metric],
            each.before["score"],
            each.after["score"],
        )
        about = name if each.trained else f"{name} (not trained: old head)"
        rows.append((about, metric, *map(figure, values), f"{-each.lost:+.4f}"))
    if rows:
        found = columns([heads, *rows], right=(2, 3, 4, 5, 6))
        yield from titled("earlier", found)
