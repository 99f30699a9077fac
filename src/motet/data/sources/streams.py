"""Rows of a source in parts, for data larger than memory: the same rows as when read as a whole.

What depends on all rows, such as the type of a column of a CSV file, is found by a pass through
them when the stream is made; so every part has the columns and types that the whole table has.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

ROWS = 1 << 16
"""Rows of a part, where nobody asks for another number."""


class RowStream(ABC):
    """Rows in parts, as often as asked for."""

    schema: pa.Schema
    """Columns, with the types that `Source.read` would give them."""
    count: int
    """Number of rows."""

    @abstractmethod
    def tables(self, rows: int = ROWS, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield all rows in order, from the first on.

        Args:
            rows: Rows per table; the last has fewer.
            columns: Names of the columns to read; all if left out.
        """


class FileRows(ABC):
    """The rows of one file as its format gives them, in parts, as often as asked for."""

    schema: pa.Schema
    """Columns, with the same types in all parts."""
    count: int
    """Number of rows."""

    @abstractmethod
    def tables(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Yield some columns of all rows in order, in parts of any number of rows above 0.

        Args:
            columns: Names of columns of ``schema``, at least one.
        """


@final
class TableStream(RowStream):
    """The rows of a table that is in memory, in parts."""

    def __init__(self, table: pa.Table) -> None:
        self._table, self.schema, self.count = table, table.schema, len(table)

    def tables(self, rows: int = ROWS, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        table = self._table if columns is None else self._table.select(columns)
        for start in range(0, self.count, rows):
            yield table.slice(start, rows)


@final
class TakenRows(RowStream):
    """Some rows of a stream.

    Args:
        stream: All rows.
        rows: Numbers of the rows (n,), in ascending order.
    """

    def __init__(self, stream: RowStream, rows: NDArray[np.int64]) -> None:
        self._stream, self._rows = stream, rows
        self.schema, self.count = stream.schema, len(rows)

    def tables(self, rows: int = ROWS, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        return in_parts(self._taken(columns), rows)

    def _taken(self, columns: Sequence[str] | None) -> Iterator[pa.Table]:
        first = 0
        for table in self._stream.tables(columns=columns):
            start, end = np.searchsorted(self._rows, [first, first + len(table)])
            yield table.take(pa.array(self._rows[start:end] - first))
            first += len(table)


def in_parts(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Cut and join tables of one schema so that each but the last has so many rows."""
    held: list[pa.Table] = []
    count = 0
    for table in tables:
        held.append(table)
        count += len(table)
        while count >= rows:
            joined = pa.concat_tables(held)
            yield joined.slice(0, rows)
            held, count = [joined.slice(rows)], count - rows
    if count:
        yield pa.concat_tables(held)
