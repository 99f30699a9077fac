"""Rows that a finished run is given, in parts, so that memory does not grow with their number."""

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import pyarrow as pa
from numpy.typing import NDArray
from torch import Tensor

from motet.data.batches import Batch
from motet.data.notes import Notes, added
from motet.data.row_names import RowName, named
from motet.data.sources import as_source, stream_of
from motet.data.sources.streams import RowStream, TakenRows
from motet.live import Progress
from motet.run.readers import Reader
from motet.run.unseen import Unseen
from motet.training.grouping import keep_together

ROWS_OF_TABLES = 1 << 16
ROWS_OF_TEXTS = 1 << 12
"""Rows of a part: a multiple of those of a batch, so that batches are those of all rows."""


class Part(NamedTuple):
    """Some consecutive rows."""

    table: pa.Table
    first: int
    """Number of the first row."""
    name_row: RowName
    """Names a row by its number among these."""


class GivenRows:
    """Rows in parts, as often as asked for.

    Args:
        stream: The rows.
        name_row: Names a row by its number among all.
        size: Rows of a part.
    """

    def __init__(self, stream: RowStream, name_row: RowName, size: int) -> None:
        self._stream, self._name_row, self._size = stream, name_row, size

    @staticmethod
    def of(data: Any, strings: Collection[str], size: int) -> "GivenRows":
        """Return the rows that a user gave; see `motet.data.sources.read`."""
        source = as_source(data)
        return GivenRows(stream_of(source, strings), source.row_name, size)

    @property
    def count(self) -> int:
        """Number of rows."""
        return self._stream.count

    @property
    def schema(self) -> pa.Schema:
        """Their columns, of the same types in all parts."""
        return self._stream.schema

    def __iter__(self) -> Iterator[Part]:
        first = 0
        for table in self._stream.tables(self._size):
            yield Part(table, first, partial(_named, self._name_row, first))
            first += len(table)

    def at_once(self) -> "GivenRows":
        """Return the same rows as one part."""
        return GivenRows(self._stream, self._name_row, self.count)

    def taken(self, rows: NDArray[Any]) -> "GivenRows":
        """Return the rows with some numbers, in ascending order, which keep their names."""
        taken = TakenRows(self._stream, rows)
        return GivenRows(taken, lambda row: self._name_row(int(rows[row])), self._size)


def _named(name_row: RowName, first: int, row: int) -> str:
    return name_row(first + row)


class Encoded(NamedTuple):
    """A part as a model takes it."""

    part: Part
    table: pa.Table
    """Its rows, with the columns that the run reads."""
    inputs: dict[str, Any]
    targets: dict[str, NDArray[Any]]
    weights: dict[str, NDArray[Any]]


class LabelledRows:
    """Given rows as a run evaluates them; `motet.data.batches.RowsOnce`.

    Args:
        reader: How the run reads rows.
        rows: The rows.
        tasks: Tasks with labels here.
        source: Name of the source that the rows are like, if the run has several.
        step: Called with a line about the rows done so far.
    """

    def __init__(
        self,
        reader: Reader,
        rows: GivenRows,
        tasks: Collection[str],
        source: str = "",
        step: Callable[[str], object] = lambda line: None,
    ) -> None:
        self.reader, self.source = reader, source
        self._rows, self._step = rows, step
        self.tasks = tuple(tasks)
        self.notes: Mapping[str, Notes] = {}
        """What inputs found."""
        self.unseen = {task: Unseen() for task in tasks}
        """Labels that training did not have."""
        self._seen = 0

    def of(self, reader: Reader) -> "LabelledRows":
        """Return the same rows as another run with the same tasks reads them."""
        return LabelledRows(reader, self._rows, self.tasks, self.source, self._step)

    def taken(self, rows: NDArray[Any]) -> "LabelledRows":
        """Return the rows with some numbers; see `GivenRows.taken`."""
        taken = self._rows.taken(rows)
        return LabelledRows(self.reader, taken, self.tasks, self.source, self._step)

    @property
    def count(self) -> int:
        """Number of rows."""
        return self._rows.count

    @property
    def labelled(self) -> frozenset[str]:
        """Names of the tasks."""
        return frozenset(self.tasks)

    def labels(self) -> Iterator[dict[str, NDArray[Any]]]:
        """Yield the encoded labels of each part."""
        for part in self._rows:
            yield self._labels(part, self.reader.view(part.table, self.source))

    def encoded(self) -> Iterator[Encoded]:
        """Yield each part as the model takes it."""
        for part in self._rows:
            table = self.reader.view(part.table, self.source)
            targets = self._labels(part, table)
            with named(part.name_row):
                weights = self.reader.preprocessing.weights(table, targets)
            inputs, notes = self.reader.inputs(part.name_row, table, self.source)
            if part.first >= self._seen:  # not in a further pass
                self._seen = part.first + len(table)
                self.notes = added([self.notes, notes])
                for task, unseen in self.unseen.items():
                    judged = self.reader.preprocessing.judged(task, table)
                    unseen.add(self.reader.preprocessing.target(task), judged, part.name_row)
            shown = f"{part.first:,} of {self.count:,} rows"
            self._step(Progress(shown, part.first, self.count))
            yield Encoded(part, table, inputs, targets, weights)

    def once(self, size: int) -> Iterator[tuple[Tensor | None, Batch]]:
        """Yield every row once, in batches; see `motet.data.batches.Data`."""
        tasks = [self.reader.model.tasks[name] for name in self.tasks]
        for each in self.encoded():
            data = self.reader.data(each.inputs, each.targets, each.weights)
            keep_together(data, tasks)
            for rows, batch in data.once(size):
                yield None if rows is None else rows + each.part.first, batch

    def _labels(self, part: Part, table: pa.Table) -> dict[str, NDArray[Any]]:
        with named(part.name_row):
            return self.reader.preprocessing.targets(table, only=self.tasks)
