"""What a comparison reads of the folders of its runs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Any

from motet.run import folder
from motet.run.sealed import read_sealed
from motet.training.history import History, read_records

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Validation:
    """The best evaluation of a run on its validation rows."""

    monitored: float
    """The value that chose its weights; higher is better."""
    score: float
    """Mean normalised score of its main tasks."""


@dataclass(frozen=True)
class Spent:
    """What a run took."""

    steps: int
    seconds: float
    """Of training and evaluation, without reading the data."""
    memory: int | None
    """Peak in bytes; None where it is not measured."""


def validation_of(run: Path) -> Validation:
    """Read the best evaluation of a finished run."""
    best = _best(run)
    return Validation(_number(best["monitored"]), _number(best["score"]))


def validated_metrics(run: Path) -> dict[str, dict[str, float]]:
    """Read the metrics of a finished run on its validation rows, by task, at its best epoch."""
    return _metrics(_best(run))


def test_of(run: Path) -> dict[str, dict[str, float]]:
    """Read the metrics of a finished run on its test rows, by task."""
    records = read_records(run / folder.METRICS)
    test = next(record for record in reversed(records) if record["event"] == "test")
    return _metrics(test)


def spent_by(run: Path) -> Spent:
    """Read what a finished run took."""
    records = read_records(run / folder.METRICS)
    epochs: dict[int, float] = {}  # each record has the seconds since its epoch began
    seconds = 0.0
    for record in records:
        if record["event"] == "test":
            seconds += record["seconds"]
        else:
            epochs[record["epoch"]] = max(epochs.get(record["epoch"], 0.0), record["seconds"])
    memory = read_sealed(run / folder.ENVIRONMENT).get("peak_memory")
    return Spent(records[-1]["step"], sum(epochs.values()) + seconds, memory)


def spent_together(runs: Iterable[Path]) -> Spent:
    """Add up steps and seconds of several runs; the memory is that of the largest."""
    found = [spent_by(run) for run in runs]
    known = [each.memory for each in found if each.memory is not None]
    return Spent(
        sum(each.steps for each in found),
        sum(each.seconds for each in found),
        max(known, default=None),
    )


def rows_of(run: Path) -> dict[str, Any]:
    """Read which rows a run was trained and tested on: a digest of the splits of each source."""
    content = read_sealed(run / folder.ENVIRONMENT)
    sources: Mapping[str, Any] = content.get("sources") or {"": content["data"]}
    return {name: each["split"] for name, each in sources.items()}


def _best(run: Path) -> Record:
    best = History.read(run / folder.METRICS).best
    assert best is not None  # a comparison has validation rows
    return best


def _metrics(record: Record) -> dict[str, dict[str, float]]:
    return {
        task: {metric: _number(value) for metric, value in values.items()}
        for task, values in record["tasks"].items()
    }


def _number(value: float | None) -> float:
    return nan if value is None else value
