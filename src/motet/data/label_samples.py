"""Label columns of rows that come in parts, reduced to what a target learns from."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from motet.data.inputs.samples import LARGEST
from motet.data.values import is_list
from motet.row_hashes import row_hashes
from motet.seeds import derive


class LabelSample:
    """Rows for the fit of one target: all of few, of many a random sample of `LARGEST`.

    Args:
        columns: Names of the columns that it reads; perhaps none.
        distinct: Whether the target needs each label once, so that none is left out however rare;
            of labels that are lists, a sample is kept all the same.
    """

    def __init__(self, columns: Iterable[str], *, distinct: bool) -> None:
        self.added = 0
        """Number of rows that were added."""
        self.holding = False
        """Whether the task is trained on any of them."""
        self._columns = list(dict.fromkeys(columns))
        self._distinct = distinct and bool(self._columns)
        self._key = derive(0, "sample of labels")
        self._tables: list[pa.Table] = []
        self._hashes: list[NDArray[np.uint64]] = []
        self._held = 0

    def add(self, table: pa.Table, holding: bool) -> None:
        """Add rows, which continue those added before; ``holding``: see the attribute."""
        self.holding = self.holding or holding
        table = table.select(self._columns)
        rows = np.arange(self.added, self.added + len(table))
        self.added += len(table)
        self._distinct = self._distinct and not any(is_list(kind) for kind in table.schema.types)
        if self._distinct:
            table = _distinct(table)
        else:
            self._hashes.append(row_hashes(rows, self._key))
        self._tables.append(table)
        self._held += len(table)
        if self._held > 2 * LARGEST:
            self._reduce()

    def table(self) -> pa.Table:
        """Return the rows kept, in order."""
        if self._distinct or self._held > LARGEST:
            self._reduce()
        found = pa.concat_tables(self._tables)
        if self._distinct and all(column.null_count == len(found) for column in found.columns):
            return pa.table({f.name: pa.nulls(self.added, f.type) for f in found.schema})
        return found

    def notes(self, where: str) -> tuple[str, ...]:
        """Report that a sample was kept, if so; ``where`` begins the sentence."""
        if self._distinct or not self._columns or self.added <= LARGEST:
            return ()
        return (f"{where}: learned from a sample of {LARGEST:,} of {self.added:,} rows",)

    def _reduce(self) -> None:
        joined = pa.concat_tables(self._tables)
        if self._distinct:
            self._tables = [_distinct(joined)]
        else:
            hashes = np.concatenate(self._hashes)
            kept = np.argpartition(hashes, LARGEST - 1)[:LARGEST]
            kept.sort()
            self._tables, self._hashes = [joined.take(pa.array(kept))], [hashes[kept]]
        self._held = len(self._tables[0])


def _distinct(table: pa.Table) -> pa.Table:
    return table.group_by(table.column_names, use_threads=False).aggregate([])
