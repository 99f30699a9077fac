"""The history of training: the records of its epochs."""

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from motet.problems import MALFORMED, InputError, reason

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


class History:
    """Records of epochs, as `motet.Trainer` and ``metrics.jsonl`` write them.

    Each record is a mapping with ``epoch``, ``split`` ("train" or "validation"), ``seconds``,
    ``learning_rate``, ``score`` and ``tasks``: ``{task: {"loss": ..., <metric>: ...}}``.
    """

    def __init__(self, records: Iterable[dict[str, Any]] = ()) -> None:
        self.records = list(records)

    @property
    def best_epoch(self) -> int | None:
        """Epoch whose weights are kept; None without validation data."""
        return self.best["epoch"] if self.best else None

    @property
    def best(self) -> dict[str, Any] | None:
        """Record of the evaluation whose weights are kept; None without validation data."""
        return next((record for record in reversed(self.records) if record.get("best")), None)

    @property
    def skipped_steps(self) -> int:
        """Steps left out because a loss or gradient was not finite."""
        return next((r["skipped"] for r in reversed(self.records) if "skipped" in r), 0)

    @staticmethod
    def read(path: Path) -> "History":
        """Read the epochs of a ``metrics.jsonl``; empty if there is none.

        A last line without an end is left out: it is being written, or was when the run died.

        Returns:
            The history.

        Raises:
            InputError: If another line is not a record.
        """
        return History(
            record
            for record in read_records(path)
            if record["event"] == "epoch" or record["split"] == "validation"
        )

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.records)

    def __len__(self) -> int:
        return max((record["epoch"] for record in self.records), default=0)

    def curve(self, task: str, metric: str = "loss", split: str = "validation") -> list[float]:
        """Return one number per epoch: a metric of a task, its loss or its weight.

        NaN where the task was disabled.

        Raises:
            InputError: If no epoch of the split has such a number.
        """
        tasks = [record["tasks"] for record in self.records if record["split"] == split]
        if not any(metric in values.get(task, ()) for values in tasks):
            known = {f"{t} {m}" for values in tasks for t in values for m in values[t]}
            raise InputError(
                f"no epoch has {metric!r} of {task!r} on the {split} split; "
                f"it has: {', '.join(sorted(known)) or 'nothing'}"
            )
        return [values.get(task, {}).get(metric, math.nan) for values in tasks]

    def plot(
        self, tasks: Iterable[str] | None = None, metrics: Iterable[str] | None = None
    ) -> "Figure":
        """Draw curves over epochs, for notebooks: one plot per metric, one colour per task.

        Solid lines are of validation rows, dotted ones of training rows.

        Args:
            tasks: Which tasks; all if left out.
            metrics: Names of metrics, "loss" and "weight" among them; the loss and the first metric
                of each task if left out.

        Returns:
            A figure of plotly.

        Raises:
            InputError: If no epoch has one of the tasks or metrics.
        """
        from motet.training.plotting import plot

        return plot(self.records, tasks, metrics)

    def table(self) -> pa.Table:
        """Return one row per epoch, split, task and metric."""
        rows = [
            {"epoch": r["epoch"], "split": r["split"], "task": task, "metric": name, "value": value}
            for r in self.records
            for task, values in r["tasks"].items()
            for name, value in values.items()
        ]
        columns = ("epoch", "split", "task", "metric", "value")
        return pa.table({column: [row[column] for row in rows] for column in columns})


def read_records(path: Path) -> list[dict[str, Any]]:
    """Read all records of a ``metrics.jsonl``: of steps, epochs, evaluations and the test.

    A last line without an end is left out: it is being written, or was when the run died.

    Args:
        path: The file.

    Returns:
        The records; none if there is no file.

    Raises:
        InputError: If another line is not a record.
    """
    lines = path.read_bytes().splitlines(keepends=True) if path.is_file() else []
    records = []
    for number, text in enumerate(lines, 1):
        if text.endswith(b"\n"):
            try:
                records.append(_checked(json.loads(text)))
            except MALFORMED as error:
                raise InputError(
                    f"line {number} of {path} is not a record ({reason(error)}); remove the line, "
                    "or restore the file from a copy"
                ) from None
    return records


def _checked(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record that has all that is read of every one."""
    tasks = record["tasks"].values()
    known = isinstance(record["epoch"], int) and isinstance(record["event"], str)
    known &= isinstance(record["split"], str)
    if not (known and all(isinstance(values, dict) for values in tasks)):
        raise ValueError("its event, epoch, split or tasks are of another kind")
    return record
