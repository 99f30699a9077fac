"""How messages name a row: by its number and, in a text file, by its line.

Rows are counted from 0, as frames and the column ``row`` of test predictions count them, through
all files of a source; lines from 1, as editors and, without line breaks in cells, spreadsheets do.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from motet.data.csv_files import csv_lines
from motet.data.json_lines import numbered_lines
from motet.data.sources import are_places, files_of
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


def names_in(source: Any, base: Path | None = None) -> RowName:
    """Return what names the rows of a source.

    Args:
        source: What `motet.data.sources.read` takes.
        base: Folder that relative paths start from.

    Returns:
        A function from a row's number to "row 6" or, where lines are known, "row 6 (line 8 of
        rows.csv)". It reads the file up to there.
    """
    if not are_places(source):
        return row_name
    return lambda row: f"{row_name(row)}{_place(source, base, row)}"


@contextmanager
def named(name: RowName) -> Iterator[None]:
    """Name the row of a `RowError` that passes."""
    try:
        yield
    except RowError as error:
        raise error.named(name(error.row)) from None


def _place(source: Any, base: Path | None, row: int) -> str:
    for name, path in files_of(source, base):
        suffix = path.suffix.lower()
        if suffix in (".parquet", ".pq"):
            row -= pq.read_metadata(path).num_rows
            if row < 0:
                return ""
            continue
        lines = csv_lines(path) if suffix == ".csv" else (line for line, _ in numbered_lines(path))
        for place, line in enumerate(lines, start=-1 if suffix == ".csv" else 0):
            if place == row:
                return f" (line {line:,} of {name})"
        row -= place + 1
    return ""
