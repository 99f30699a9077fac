"""The classes of a column, from each of which a stratified split draws."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from motet.data.selection import require_columns
from motet.data.values import as_floats, as_texts, is_number

_MOST_VALUES = 20
"""Number of distinct numbers up to which each is a separate class."""
_MOST_RANGES = 10
_ROWS_PER_RANGE = 10
"""Minimum number of rows in each range of numbers."""


@dataclass(frozen=True)
class Strata:
    """Which class each of N rows belongs to."""

    column: str
    codes: NDArray[np.int64]
    """Places in ``names`` (N,)."""
    names: tuple[str, ...]
    """What messages call the classes."""

    def rare(self, fewest: int) -> float:
        """Return the share of rows whose class has fewer rows than that."""
        sizes = np.bincount(self.codes)
        return float(sizes[sizes < fewest].sum() / sizes.sum())


def find_strata(table: pa.Table, column: str) -> Strata:
    """Find the classes of a column: its values, or up to ten ranges of more than 20 numbers.

    Ranges have equal numbers of rows. Rows without a value are a separate class. A missing
    column raises `InputError`, and so does one of lists.

    Args:
        table: All N rows.
        column: Name of a column.

    Returns:
        The class of every row.

    Example:
        >>> find_strata(pa.table({"churn": ["yes", "no", None, "yes"]}), "churn").codes
        array([0, 1, 2, 0])
    """
    require_columns(table, [column], "split", "stratify")
    values, what = table[column], f"split: stratify: column {column!r}"
    distinct = pc.count_distinct(values, mode="only_valid").as_py() if is_number(values.type) else 0
    if distinct > _MOST_VALUES:
        return _ranges(as_floats(values, what), column)
    encoded = as_texts(values, what).combine_chunks().dictionary_encode(null_encoding="encode")
    names = ["missing" if name is None else repr(name) for name in encoded.dictionary.to_pylist()]
    return Strata(column, encoded.indices.to_numpy().astype(np.int64), tuple(names))


def _ranges(values: NDArray[np.float64], column: str) -> Strata:
    known = values[~np.isnan(values)]
    count = max(1, min(_MOST_RANGES, len(known) // _ROWS_PER_RANGE))
    levels = np.arange(1, count) / count
    edges = np.unique(np.quantile(known, levels, method="nearest"))  # no arithmetic with infinity
    codes = np.searchsorted(edges, values, side="right")
    codes[np.isnan(values)] = len(edges) + 1
    names = [f"range {place}" for place in range(1, len(edges) + 2)]
    return Strata(column, codes.astype(np.int64), (*names, "missing"))
