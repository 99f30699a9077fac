"""How messages name a row: by its number and, in a text file, by its line.

Rows are counted from 0, as frames and the column ``row`` of test predictions count them, through
all files of a source; lines from 1, as editors and, without line breaks in cells, spreadsheets do.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from motet.problems import RowError

RowName = Callable[[int], str]


def row_name(row: int) -> str:
    """Name a row of a frame or a Parquet file.

    Returns:
        Words for a message.

    Example:
        >>> row_name(1234)
        'row 1,234'
    """
    return f"row {row:,}"


@contextmanager
def named(name: RowName) -> Iterator[None]:
    """Name the row of a `RowError` that passes."""
    try:
        yield
    except RowError as error:
        raise error.named(name(error.row)) from None
