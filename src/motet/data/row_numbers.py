"""Columns of whole numbers that identify the rows, from which nothing can be learned."""

import numpy as np
import pyarrow as pa

FEWEST = 20
"""Minimum number of rows for distinct values to count as names of the rows."""


def row_numbers(column: pa.ChunkedArray) -> str | None:
    """Return why whole numbers seem to number the rows; None if they do not.

    They do if they differ in all rows, of which there are 20 or more, and increase from row to row
    or are a range without gaps, in any order.

    Args:
        column: A column of N values, of all rows.

    Returns:
        The reason, for users to read.

    Example:
        >>> row_numbers(pa.chunked_array([[7 * row for row in range(20)]]))
        'whole numbers that increase from row to row, as if they numbered the rows'
        >>> row_numbers(pa.chunked_array([[row % 19 for row in range(20)]]))
    """
    if not pa.types.is_integer(column.type) or column.null_count or len(column) < FEWEST:
        return None
    values = column.to_numpy()
    if (values[1:] > values[:-1]).all():
        return "whole numbers that increase from row to row, as if they numbered the rows"
    first, last = int(values.min()), int(values.max())
    if last - first + 1 == len(values) == len(np.unique(values)):
        return f"the numbers {first:,} to {last:,}, each in one row, as if they numbered the rows"
    return None
