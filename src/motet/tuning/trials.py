"""What a search tried, and how its trials rank."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.csv

from motet.run.layout import columns, line
from motet.tuning.ranges import override
from motet.writing import replacing


@dataclass
class Trial:
    """One combination of values, and how far it came."""

    number: int
    """Counted from 1, in the order in which they were chosen."""
    values: dict[str, Any]
    """The value of each key."""
    run: Path
    """Folder of its last run."""
    epochs: int | None = None
    """Epochs of that run; None if the config chooses them."""
    rung: int = -1
    """The budget of that run, counted from 0; -1 before the first."""
    score: float = math.nan
    """The best monitored value on the validation rows; higher is better."""
    status: Literal["finished", "pruned", "failed"] = "pruned"
    """``finished`` with the whole budget, ``pruned`` with less, or ``failed``."""
    error: str = ""
    """Why it failed."""

    @property
    def overrides(self) -> list[str]:
        """Its values, as overrides of the config."""
        return [override(key, value) for key, value in self.values.items()]


@dataclass(frozen=True)
class Tuned:
    """A finished search."""

    path: Path
    """Folder of the search: ``best.yaml``, ``ranking.csv``, and the plans of its runs."""
    trials: tuple[Trial, ...]
    """The trials, best first."""

    @property
    def best(self) -> Trial:
        """The best trial among those with the largest budget."""
        return self.trials[0]

    @property
    def config(self) -> Path:
        """The config with the best values."""
        return self.path / "best.yaml"

    def table(self) -> pa.Table:
        """Return the ranking: a row for each trial, with a column for each key."""
        keys = list(self.trials[0].values)
        found: dict[str, list[Any]] = {
            "rank": list(range(1, len(self.trials) + 1)),
            "trial": [each.number for each in self.trials],
            "score": [each.score for each in self.trials],
            "epochs": [each.epochs for each in self.trials],
            "status": [each.status for each in self.trials],
        }
        for key in keys:
            values = [each.values[key] for each in self.trials]
            numbers = all(type(value) in (int, float) for value in values)
            texts = [override(key, value).partition("=")[2] for value in values]
            found[key] = values if numbers else texts
        return pa.table(found)


def ranked(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """Sort trials: those with the largest budget first, then by score; failed ones last."""
    return tuple(
        sorted(trials, key=lambda each: (each.status == "failed", -each.rung, -each.score))
    )


def write_ranking(path: Path, tuned: Tuned) -> None:
    """Write the ranking as CSV."""
    with replacing(path) as file:
        pa.csv.write_csv(tuned.table(), file)


def tuned_lines(tuned: Tuned, shown: int = 10) -> Iterator[str]:
    """Format a search for people: its best trials, and what did not work."""
    rows = [["rank", "score", "epochs", "status", "values"]]
    for rank, each in enumerate(tuned.trials[:shown], 1):
        score = "-" if each.status == "failed" else f"{each.score:.4f}"
        epochs = "-" if each.epochs is None else str(each.epochs)
        rows.append([str(rank), score, epochs, each.status, " ".join(each.overrides)])
    yield from columns(rows, right=(0, 1, 2))
    failed = [each for each in tuned.trials if each.status == "failed"]
    if failed:
        yield line("note", f"{len(failed)} of {len(tuned.trials)} failed: {failed[0].error}")
