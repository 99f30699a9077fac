"""Which column names the group of each row, such as the customer whom several rows are about."""

from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc

from motet.data.inference.guesses import NAMED_SO, NAMES, Guess, count_distinct, distinct_things

_FEWEST = 10
"""Number of distinct names from which rows can be split by them."""
_MOST_WORDS = 3
_FEW_ROWS = 20
"""Rows per name up to which short texts are names, whatever their column is called."""


def infer_group(table: pa.Table, exclude: Collection[str] = ()) -> Guess | None:
    """Find a column of names that rows repeat.

    Args:
        table: The rows.
        exclude: Columns to skip: targets.

    Returns:
        The first column of texts or whole numbers that is named as an identifier, such as
        customer_id, or of short texts with few rows each; None if there is none.

    Example:
        >>> infer_group(pa.table({"age": [1] * 40, "customer_id": [*range(20)] * 2}))
        Guess(column='customer_id', type=None, reason='20 distinct names in 40 rows')
    """
    for name in table.column_names:
        if name in exclude or not _may_name(table[name].type):
            continue
        column = table[name].drop_null()
        distinct = count_distinct(column)
        if not _FEWEST <= distinct < NAMES * len(column):
            continue
        if NAMED_SO.search(name) or _are_names(column, distinct):
            return Guess(name, None, f"{distinct_things(distinct, 'name')} in {len(column):,} rows")
    return None


def _may_name(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_integer(kind))


def _are_names(column: pa.ChunkedArray, distinct: int) -> bool:
    if not pa.types.is_string(column.type) or len(column) > _FEW_ROWS * distinct:
        return False
    words = pc.mean(pc.count_substring_regex(column, r"\S+")).as_py()
    return bool(words <= _MOST_WORDS and distinct > 10 * _FEWEST)
