"""The classes of a column that a stratified split draws from one by one."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from motet.data.selection import require_columns
from motet.data.values import as_floats, as_texts, is_number

_MOST_VALUES = 20
"""Distinct numbers up to which each is a class of its own."""
_PARTS = 10


@dataclass(frozen=True)
class Strata:
    """Which class each of N rows belongs to."""

    column: str
    codes: NDArray[np.int64]
    """Places in ``names`` (N,)."""
    names: tuple[str, ...]
    """What messages call the classes."""


def find_strata(table: pa.Table, column: str) -> Strata:
    """Tell the classes of a column: its values, or the tenths of more than 20 distinct numbers.

    Rows without a value are a class of their own. A missing column raises `InputError`, and so does
    one of lists.

    Args:
        table: All N rows.
        column: Name of a column.

    Returns:
        The class of every row.

    Example:
        >>> find_strata(pa.table({"churn": ["yes", "no", None, "yes"]}), "churn").codes
        array([0, 1, 2, 0])
    """
    require_columns(table, [column], "split: stratify")
    values, what = table[column], f"split: stratify: column {column!r}"
    distinct = pc.count_distinct(values, mode="only_valid").as_py() if is_number(values.type) else 0
    if distinct > _MOST_VALUES:
        return _tenths(as_floats(values, what), column)
    encoded = as_texts(values, what).combine_chunks().dictionary_encode(null_encoding="encode")
    names = ["missing" if name is None else repr(name) for name in encoded.dictionary.to_pylist()]
    return Strata(column, encoded.indices.to_numpy().astype(np.int64), tuple(names))


def _tenths(values: NDArray[np.float64], column: str) -> Strata:
    known = values[~np.isnan(values)]
    levels = np.arange(1, _PARTS) / _PARTS
    edges = np.unique(np.quantile(known, levels, method="nearest"))  # no arithmetic with infinity
    codes = np.searchsorted(edges, values, side="right")
    codes[np.isnan(values)] = len(edges) + 1
    names = [f"tenth {place}" for place in range(1, len(edges) + 2)]
    return Strata(column, codes.astype(np.int64), (*names, "missing"))
