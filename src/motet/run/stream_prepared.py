"""What a run reads of data larger than memory: encoded rows on disk, and what was counted."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from motet.config import Config, Origin
from motet.config.streaming import StreamConfig
from motet.data.ahead import ahead
from motet.data.inference import Guess
from motet.data.preprocessing import Preprocessing
from motet.data.sources import Source
from motet.data.sources.streams import RowStream
from motet.data.split_labels import SPLITS
from motet.data.splits.streamed import Places, StreamSplit
from motet.data.tallies import SplitTally, Tallies
from motet.run.starts import Start
from motet.settings import Choice

if TYPE_CHECKING:  # they need torch, which a config is read without
    from motet.data.blocks import Blocks
    from motet.data.stream import StreamData
    from motet.tasks import Task

TEST = SPLITS.index("test")
"""The place of test rows among splits."""


@dataclass(frozen=True)
class StreamRows:
    """A config with explicit inputs, and the rows of a source that it names, not read yet."""

    config: Config
    origin: Origin
    source: Source
    stream: RowStream
    split: StreamSplit
    guesses: tuple[Guess, ...]
    inputs: Collection[str]
    tasks: Collection[str]
    name: str = ""
    lacking: Collection[str] = ()
    chosen: tuple[Choice, ...] = ()
    starts: tuple[Start, ...] = ()

    @property
    def options(self) -> StreamConfig:
        """How the rows are streamed."""
        found = self.config.data.streaming
        assert found is not None
        return found


def split_parts(rows: StreamRows) -> Iterator[tuple[int, pa.Table, Places]]:
    """Yield all rows in parts: the number of the first, the rows, and the split of each.

    A thread reads one part ahead.
    """
    first = 0
    with closing(ahead(rows.stream.tables())) as tables:
        for table in tables:
            yield first, table, rows.split.places(table, first)
            first += len(table)


@dataclass(frozen=True)
class Counted:
    """What one pass through all rows found, kept beside the encoded rows."""

    preprocessing: str
    """As JSON."""
    tallies: Tallies
    rows: int
    """Number of rows of the source."""
    split: str
    """Digest of the split of each row."""
    labels: Mapping[str, str]
    """Digest of each task's labels."""
    notes: tuple[str, ...]
    """What users should know about the inputs and labels."""

    def state(self) -> dict[str, Any]:
        """Return everything, as JSON can hold it."""
        tallies = {name: each.state() for name, each in self.tallies.items()}
        return {**self.__dict__, "tallies": tallies, "notes": list(self.notes)}

    @staticmethod
    def of(state: Mapping[str, Any]) -> "Counted":
        """Return what `state` returned."""
        tallies = {name: SplitTally.of(each) for name, each in state["tallies"].items()}
        return Counted(**{**state, "tallies": tallies, "notes": tuple(state["notes"])})


@dataclass(frozen=True)
class PreparedStream:
    """Rows on disk, and what was learned from the training rows about inputs and labels."""

    rows: StreamRows
    preprocessing: Preprocessing
    blocks: Mapping[str, "Blocks"]
    """The encoded rows of each split."""
    counted: Counted
    _statistics: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def config(self) -> Config:
        """The config, with its inputs spelled out."""
        return self.rows.config

    @property
    def origin(self) -> Origin:
        """Where the config came from."""
        return self.rows.origin

    @property
    def parts(self) -> Mapping[str, "PreparedStream"]:
        """The rows of the one source."""
        return {"": self}

    @property
    def used(self) -> Mapping[str, "PreparedStream"]:
        """The same; see `motet.run.prepared.PreparedSources.used`."""
        return self.parts

    @property
    def notes(self) -> tuple[str, ...]:
        """What users should know about the inputs and labels."""
        return (*self.counted.notes, *self.preprocessing.notes)

    @property
    def tallies(self) -> Tallies:
        """Counts of labels by split, of the splits that have rows."""
        return self.counted.tallies

    @property
    def counts(self) -> dict[str, int]:
        """Number of rows by split."""
        return {name: len(self.blocks[name]) for name in SPLITS}

    @property
    def row_count(self) -> int:
        """Number of rows of the source."""
        return self.counted.rows

    @property
    def targets(self) -> Collection[str]:
        """Names of the tasks that have labels."""
        return self.counted.labels

    def data(self, split: str, rank: int = 0, processes: int = 1) -> "StreamData":
        """Return the rows of "train", "validation" or "test", as far as they are of a process."""
        from motet.data.stream import StreamData  # needs torch

        options = self.rows.options
        return StreamData(
            self.blocks[split],
            lanes=options.lanes,
            buffer=options.buffer,
            rank=rank,
            processes=processes,
        )

    def known_labels(self, split: str, tasks: Iterable["Task"]) -> Mapping[str, Any]:
        """Return the statistics of the labels of a split; see `Prepared.known_labels`."""
        if split not in self._statistics:
            learn = {task.name: task.statistics for task in tasks if task.name in self.targets}
            self._statistics[split] = self.data(split).label_statistics(learn)
        return self._statistics[split]

    def first_inputs(self, rows: int) -> dict[str, Any]:
        """Return what the encoder takes, for the first training rows."""
        blocks = self.blocks["train"]
        with blocks.reader() as reader:
            found = reader.rows(blocks.pieces(0, min(rows, len(blocks))), ["inputs"])
        inputs: dict[str, Any] = found["inputs"]
        return inputs

    def row_weights(self, split: str) -> Mapping[str, Any]:
        """Return nothing: `known_labels` counts rows by their weights."""
        return {}

    def steps(self, batch_size: int) -> int:
        """Return how many steps an epoch has."""
        return self.data("train").steps(batch_size)
