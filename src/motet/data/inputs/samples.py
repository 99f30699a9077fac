"""A random sample of rows that does not depend on how the rows are batched."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.row_hashes import row_hashes
from motet.seeds import derive

LARGEST = 1_000_000
"""Rows of a sample; of fewer rows, all are kept."""


class Sample:
    """The rows with the smallest hashes of (seed, row number); all rows where they are few.

    Costs one hash per row, and memory for twice as many rows as are kept.

    Args:
        largest: Number of rows to keep.
        seed: Seed of the hashes.

    Example:
        >>> sample = Sample(largest=3)
        >>> for start in range(0, 100, 10):
        ...     sample.add(np.arange(start, start + 10), np.arange(start, start + 10))
        >>> len(sample.values()), sample.added
        (3, 100)
    """

    def __init__(self, largest: int = LARGEST, seed: int = 0) -> None:
        self.added = 0
        """Number of rows that were added, kept or not."""
        self._largest = largest
        self._key = derive(seed, "sample of rows")
        self._values: list[NDArray[Any]] = []
        self._rows: list[NDArray[np.int64]] = []
        self._held = 0

    def add(self, values: NDArray[Any], rows: NDArray[np.int64]) -> None:
        """Add values (n,) of the rows with these numbers (n,), which ascend from call to call."""
        self.added += len(values)
        self._values.append(values)
        self._rows.append(rows)
        self._held += len(values)
        if self._held > 2 * self._largest:
            self._reduce()

    def values(self) -> NDArray[Any]:
        """Return the values kept, in the order of their rows."""
        if self._held > self._largest:
            self._reduce()
        return np.concatenate(self._values) if len(self._values) > 1 else self._values[0]

    def notes(self, where: str) -> tuple[str, ...]:
        """Report that not all rows were kept, if so; ``where`` begins the sentence."""
        if self.added <= self._largest:
            return ()
        return (f"{where}: learned from a sample of {self._largest:,} of {self.added:,} rows",)

    def _reduce(self) -> None:
        values, rows = np.concatenate(self._values), np.concatenate(self._rows)
        kept = np.argpartition(row_hashes(rows, self._key), self._largest - 1)[: self._largest]
        kept.sort()
        self._values, self._rows = [values[kept]], [rows[kept]]
        self._held = self._largest
