"""What a run reads, checked: tables and their splits, and what was learned from the training rows.

Almost every run has one table. Where data have several sources, each has a `Prepared` of its own in
`PreparedSources`, with its rows, its inputs and the labels of its tasks.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from motet.config import Config, Origin
from motet.data.inference import Guess
from motet.data.label_arrays import joined_labels
from motet.data.preprocessing import Preprocessing
from motet.data.sources import Source
from motet.data.split_labels import SPLITS
from motet.data.splits import Splits
from motet.data.tallies import SplitTally, Tallies
from motet.data.trees import take_rows
from motet.registry import AUXILIARY
from motet.run.starts import Start
from motet.run.stream_prepared import PreparedStream
from motet.settings import Choice

if TYPE_CHECKING:  # it needs torch, which a config is read without
    from motet.tasks import Task

ROW = "row"
"""Column of test predictions with the number of the row in the source, counted from 0."""
SOURCE = "source"
"""Column of test predictions with the name of the source, where there are several."""


@dataclass(frozen=True)
class RunRows:
    """A config with explicit inputs, the table of a source that it names, and its split."""

    config: Config
    origin: Origin
    source: Source
    table: pa.Table
    split: Splits
    guesses: tuple[Guess, ...]
    name: str
    """Name of the source; empty if it is the only one."""
    given: pa.Table
    """The rows as inputs read them: with columns without values for what they lack."""
    inputs: Collection[str]
    """Names of the inputs that the rows have, ``lacking`` included."""
    lacking: Collection[str]
    """Names of the inputs that are missing in all rows, as the source has no such columns."""
    tasks: Collection[str]
    """Names of the tasks that are trained on the rows."""
    chosen: tuple[Choice, ...] = ()
    """What the config left to the data, and was chosen."""
    starts: tuple[Start, ...] = ()
    """The earlier runs that it starts from."""

    @property
    def fed(self) -> dict[str, Any]:
        """What predictions need to know about the source, as JSON can hold it."""
        entry = (self.config.data.sources or {}).get(self.name)
        return {
            "inputs": [name for name in self.inputs if name not in self.lacking],
            "lacking": list(self.lacking),
            "tasks": [task for task in self.tasks if self.config.tasks[task].type not in AUXILIARY],
            "columns": dict(entry.columns) if entry else {},
        }


@dataclass(frozen=True)
class Prepared:
    """Rows, and what was learned from the training rows about inputs and labels."""

    rows: RunRows
    preprocessing: Preprocessing
    inputs: dict[str, Any]
    """What the encoder takes, for all rows: a tree, see `motet.data.trees`."""
    targets: dict[str, NDArray[Any]]
    """What the losses take, for all rows."""
    weights: dict[str, NDArray[np.float32]]
    """How much each row counts, for all rows, of tasks whose rows have weights."""
    notes: tuple[str, ...] = ()
    """What users should know about the inputs and labels."""

    @property
    def config(self) -> Config:
        """The config, with its inputs spelled out."""
        return self.rows.config

    @property
    def origin(self) -> Origin:
        """Where the config came from."""
        return self.rows.origin

    @property
    def parts(self) -> Mapping[str, "Prepared"]:
        """The rows of each source, by name."""
        return {self.rows.name: self}

    @property
    def used(self) -> Mapping[str, "Prepared"]:
        """The same; see `PreparedSources.used`."""
        return self.parts

    @property
    def counts(self) -> dict[str, int]:
        """Number of rows by split."""
        counts = {name: len(getattr(self.rows.split, name)) for name in SPLITS}
        own = len(self.rows.split.calibration)
        return counts | ({"calibration": own} if own else {})

    @cached_property
    def tallies(self) -> Tallies:
        """Counts of labels by split, of the splits that have rows."""
        targets = {task: self.preprocessing.target(task) for task in self.targets}
        found = {name: SplitTally() for name, count in self.counts.items() if count}
        for name, tally in found.items():
            tally.add(targets, self.labels(name), self.row_weights(name), self.counts[name])
        return found

    def table_of(self, split: str) -> pa.Table:
        """Return the raw rows of a split."""
        return self.rows.table.take(pa.array(getattr(self.rows.split, split)))

    def labels(self, name: str) -> dict[str, NDArray[Any]]:
        """Return what the losses take of the rows of a split."""
        rows = getattr(self.rows.split, name)
        return {task: encoded[rows] for task, encoded in self.targets.items()}

    def known_labels(self, split: str, tasks: Iterable["Task"]) -> Mapping[str, Any]:
        """Return labels of a split by task, or their statistics where rows are streamed."""
        return self.labels(split)

    @property
    def row_count(self) -> int:
        """Number of rows of the source."""
        return len(self.rows.table)

    def first_inputs(self, rows: int) -> dict[str, Any]:
        """Return what the encoder takes, for the first rows."""
        found: dict[str, Any] = take_rows(self.inputs, range(min(rows, self.row_count)))
        return found

    def row_weights(self, name: str) -> dict[str, NDArray[np.float32]]:
        """Return the weights of the rows of a split."""
        rows = getattr(self.rows.split, name)
        return {task: weights[rows] for task, weights in self.weights.items()}

    def steps(self, batch_size: int) -> int:
        """Return how many steps an epoch has."""
        return -(-len(self.rows.split.train) // batch_size)


@dataclass(frozen=True)
class PreparedSources:
    """The rows of several sources, whose inputs go through one preprocessing."""

    parts: Mapping[str, Prepared]
    """The rows of each source, by name, at least two."""
    notes: tuple[str, ...] = ()
    """What users should know about the inputs and labels of all sources."""

    @property
    def config(self) -> Config:
        """The config, with its inputs spelled out."""
        return self._first.config

    @property
    def origin(self) -> Origin:
        """Where the config came from."""
        return self._first.origin

    @property
    def preprocessing(self) -> Preprocessing:
        """What was learned from the training rows of all sources."""
        return self._first.preprocessing

    @property
    def used(self) -> Mapping[str, Prepared]:
        """The sources whose rows train: those of enabled tasks."""
        enabled = {name for name, t in self.config.tasks.items() if t.options()["enabled"]}
        return {
            name: part
            for name, part in self.parts.items()
            if not enabled.isdisjoint(part.rows.tasks)
        }

    @property
    def targets(self) -> dict[str, NDArray[Any]]:
        """What the losses take, for all rows of a task's sources, in their order."""
        return self._joined([each.targets for each in self.parts.values()])

    def labels(self, name: str) -> dict[str, NDArray[Any]]:
        """Return what the losses take of "train", "validation" or "test"; see `targets`."""
        return self._joined([each.labels(name) for each in self.parts.values()])

    def known_labels(self, split: str, tasks: Iterable["Task"]) -> Mapping[str, Any]:
        """Return the labels of a split by task; see `labels`."""
        return self.labels(split)

    def row_weights(self, name: str) -> dict[str, NDArray[np.float32]]:
        """Return the weights of the rows of "train", "validation" or "test"; see `targets`."""
        return self._joined([each.row_weights(name) for each in self.parts.values()])

    def batch_sizes(self) -> dict[str, int]:
        """Return the rows per batch of sources for which tasks give them."""
        found: dict[str, int] = {}
        for name, part in self.parts.items():
            for task in part.rows.tasks:
                size = self.config.tasks[task].options().get("batch_size")
                if size is not None:
                    found[name] = size
        return found

    def steps(self, batch_size: int) -> int:
        """Return how many steps an epoch has: the batches of the largest source."""
        sizes = self.batch_sizes()
        return max(part.steps(sizes.get(name, batch_size)) for name, part in self.used.items())

    @property
    def _first(self) -> Prepared:
        return next(iter(self.parts.values()))

    def _joined(self, parts: Sequence[Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
        tasks = (task for task in self.config.tasks if any(task in part for part in parts))
        return {
            task: joined_labels([part[task] for part in parts if task in part]) for task in tasks
        }


Part = Prepared | PreparedStream
"""The rows of one source."""
AnyPrepared = Part | PreparedSources
P = TypeVar("P", bound=Part)


def starts_of(prepared: AnyPrepared) -> tuple[Start, ...]:
    """Return the earlier runs that a run starts from."""
    parts: list[Part] = [*prepared.parts.values()]
    return parts[0].rows.starts


def with_config(prepared: AnyPrepared, config: Config) -> AnyPrepared:
    """Return the same data with a config that reads them in the same way."""
    if isinstance(prepared, PreparedSources):
        parts = {name: _with(part, config) for name, part in prepared.parts.items()}
        return replace(prepared, parts=parts)
    return _with(prepared, config)


def _with(part: P, config: Config) -> P:
    rows: Any = replace(part.rows, config=config)
    return replace(part, rows=rows)
