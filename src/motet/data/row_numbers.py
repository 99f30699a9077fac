"""Which columns of whole numbers name the rows, and so hold nothing to learn from."""

import numpy as np
import pyarrow as pa

FEWEST = 20
"""Rows from which values that differ are taken for names of the rows."""


def row_numbers(column: pa.ChunkedArray) -> str | None:
    """Say why whole numbers seem to number the rows; None if they do not.

    They do where they differ in all rows, of which there are 20 or more, and rise from row to row
    or are a range without gaps, in any order.

    Args:
        column: A column of N values, of all rows.

    Returns:
        The reason, for people to read.

    Example:
        >>> row_numbers(pa.chunked_array([[7 * row for row in range(20)]]))
        'whole numbers that rise from row to row, as if they numbered the rows'
        >>> row_numbers(pa.chunked_array([[row % 19 for row in range(20)]]))
    """
    if not pa.types.is_integer(column.type) or column.null_count or len(column) < FEWEST:
        return None
    values = column.to_numpy()
    if (values[1:] > values[:-1]).all():
        return "whole numbers that rise from row to row, as if they numbered the rows"
    first, last = int(values.min()), int(values.max())
    if last - first + 1 == len(values) == len(np.unique(values)):
        return f"the numbers {first:,} to {last:,}, each in one row, as if they numbered the rows"
    return None
