"""Splits of rows that are read in parts: the split of a row depends on itself alone.

Each row, or group of rows, is drawn by a hash of its number, or name, and the seed. So splits have
about the shares asked for, and nothing is held of rows that were read.
"""

from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from motet.data.selection import require_columns
from motet.data.sources.streams import RowStream
from motet.data.splits.base import FRACTION, Fractions, fraction, marker
from motet.data.splits.marked import check_marks, marks_of
from motet.data.values import as_texts
from motet.row_hashes import row_hashes
from motet.seeds import derive

Places = NDArray[np.int64]
"""The split of each row, (n,): 0 (train), 1 (validation) or 2 (test)."""


class StreamSplit:
    """How the rows of a stream are split.

    Args:
        stream: The rows.
        validation: As for `motet.data.splits.split`, and so are the others.
        test: See there.
        seed: See there.
        column: See there.
        train: See there.
        group: See there.

    Raises:
        InputError: If an option does not fit the rows.
    """

    def __init__(
        self,
        stream: RowStream,
        *,
        validation: float | str | None = None,
        test: float | str | None = None,
        seed: int = 0,
        column: str | None = None,
        train: str = "train",
        group: str | None = None,
    ) -> None:
        self._column, self._group = column, group
        self._key = derive(seed, "split")
        self.notes: tuple[str, ...] = ()
        """What was decided by default, to be printed."""
        empty = stream.schema.empty_table()
        if column is not None:
            require_columns(empty, [column], "split")
            self._marks = marks_of(train, marker(validation, "validation"), marker(test, "test"))
            found = _counts(stream, column)
            check_marks(found, column, self._marks)
            self._fractions = Fractions(FRACTION, 0)
            self._drawn = self._marks[1] is None or not found.get(self._marks[1])
            if self._drawn:
                self.notes = (
                    f"column {column!r} marks no validation rows: {100 * FRACTION:.0f} % of the "
                    f"training rows (seed {seed}) are used for validation",
                )
            return
        if group is not None:
            require_columns(empty, [group], "split", "group")
            as_texts(empty[group], f"split: group: column {group!r}")
        self._fractions = Fractions(fraction(validation, "validation"), fraction(test, "test"))

    @property
    def columns(self) -> list[str]:
        """Columns that `places` reads."""
        return [each for each in (self._column, self._group) if each is not None]

    @property
    def tests(self) -> bool:
        """Whether test rows are drawn, so that there must be some."""
        return self._column is None and self._fractions.test > 0

    def counts(self, stream: RowStream) -> list[int]:
        """Return the numbers of training, validation and test rows; see `places`."""
        counts, first = np.zeros(3, np.int64), 0
        for table in stream.tables(columns=self.columns or stream.schema.names[:1]):
            counts += np.bincount(self.places(table, first), minlength=3)
            first += len(table)
        found: list[int] = counts.tolist()
        return found

    def places(self, rows: pa.Table, first: int) -> Places:
        """Return the splits of rows.

        Args:
            rows: The rows (n,), with the columns to split by.
            first: The number of the first one in the stream.
        """
        numbers = np.arange(first, first + len(rows))
        if self._column is None:
            hashes = row_hashes(numbers, self._key)
            return self._drawn_by(hashes if self._group is None else self._of_group(rows, hashes))
        texts = as_texts(rows[self._column], f"column {self._column!r}")
        found = pc.index_in(texts, pa.array(self._marks, pa.string()))
        places: Places = found.to_numpy().astype(np.int64)
        if self._drawn:
            drawn = self._drawn_by(row_hashes(numbers, self._key))
            places = np.where(places == 0, drawn, places)
        return places

    def _drawn_by(self, hashes: NDArray[np.uint64]) -> Places:
        shares = hashes / 2.0**64
        test = self._fractions.test
        return np.where(
            shares < test, 2, np.where(shares < test + self._fractions.validation, 1, 0)
        )

    def _of_group(self, rows: pa.Table, own: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return the hash of each row's group; of rows without one, that of the row."""
        assert self._group is not None
        texts = as_texts(rows[self._group], f"split: group: column {self._group!r}")
        coded = texts.combine_chunks().dictionary_encode()
        names = coded.dictionary.to_pylist()
        found = np.array([_hash(self._key, name) for name in names] + [0], np.uint64)
        codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return np.where(codes < 0, own, found[codes])


def _hash(key: int, name: str) -> int:
    return int.from_bytes(blake2b(f"{key}/{name}".encode(), digest_size=8).digest(), "big")


def _counts(stream: RowStream, column: str) -> dict[str | None, int]:
    """Count the values of a column."""
    counts: dict[str | None, int] = {}
    for table in stream.tables(columns=[column]):
        texts = as_texts(table[column], f"column {column!r}")
        for each in texts.value_counts().to_pylist():
            counts[each["values"]] = counts.get(each["values"], 0) + each["counts"]
    return counts
