"""What happened in training, epoch by epoch."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa


class History:
    """Records of epochs, as `motet.Trainer` and ``metrics.jsonl`` write them.

    Each record is a mapping with ``epoch``, ``split`` ("train" or "validation"), ``seconds``,
    ``learning_rate``, ``score`` and ``tasks``: ``{task: {"loss": ..., <metric>: ...}}``.
    """

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.best_epoch: int | None = None
        """Epoch whose weights the model has now; None without validation data."""
        self.skipped_steps = 0
        """Steps left out because a loss or gradient was not finite."""

    @staticmethod
    def read(path: Path) -> "History":
        """Read the epochs of a ``metrics.jsonl``; empty if there is none."""
        history = History()
        if path.is_file():
            lines = path.read_text(encoding="utf-8").splitlines()
            records = [json.loads(line) for line in lines]
            history.records = [record for record in records if record["event"] == "epoch"]
            tests = [record["epoch"] for record in records if record["event"] == "test"]
            history.best_epoch = tests[-1] if tests else None
        return history

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.records)

    def __len__(self) -> int:
        return max((record["epoch"] for record in self.records), default=0)

    def curve(self, task: str, metric: str = "loss", split: str = "validation") -> list[float]:
        """Return one number per epoch: a metric of a task, or its loss."""
        return [r["tasks"][task][metric] for r in self.records if r["split"] == split]

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
