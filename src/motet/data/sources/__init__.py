"""Where rows come from: files, bundled data sets, frames and arrays, all read into one table.

Each kind of source is one file here; `motet.registry.SOURCES` has the names of those that a config
can choose, and others are added with ``motet.register("source", name, MySource)``.

The whole table is in memory, about the size of the columns; types are reduced to a few by
`motet.data.plain`.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pyarrow as pa

from motet.data.row_names import RowName
from motet.data.sources.base import Source
from motet.data.sources.files import Files
from motet.data.sources.frames import Frame, as_table
from motet.data.sources.places import absolute, are_places
from motet.data.sources.streams import RowStream, TableStream
from motet.problems import InputError

__all__ = [
    "Source",
    "absolute",
    "as_source",
    "as_table",
    "names_in",
    "read",
    "rows_of",
    "stream_of",
]


def as_source(given: Any, base: Path | None = None) -> Source:
    """Return the source of rows that a user gave.

    Args:
        given: A `Source`; a path of a .csv, .parquet, .jsonl or .arrow file, or of a folder that
            ``save_to_disk`` of `datasets` wrote, a pattern such as "data/*.parquet",
            ``motet://NAME``, a bundled data set, or a list of those; a frame of pandas or polars,
            or any other object with the Arrow stream interface; or a mapping from column to array,
            (N,) or (N, D), or of images (N, H, W) or (N, H, W, C).
        base: Folder of relative paths; the working folder if left out.

    Returns:
        The source; nothing is read yet.
    """
    if isinstance(given, Source):
        return given
    return Files(base, source=given) if are_places(given) else Frame(given)


def read(given: Any, base: Path | None = None, *, strings: Collection[str] = ()) -> pa.Table:
    """Read rows; what cannot be read as a table raises `InputError`.

    Args:
        given: As for `as_source`.
        base: Folder of relative paths; the working folder if left out.
        strings: Columns to keep as text, whatever they look like: text in training must not become
            a number because today's values happen to be digits.

    Returns:
        Table with at least one row; empty cells are null, see `motet.data.empty`.

    Example:
        >>> read({"age": [30.0, float("nan")]}).to_pydict()
        {'age': [30.0, None]}
    """
    return rows_of(as_source(given, base), strings)


def rows_of(source: Source, strings: Collection[str] = ()) -> pa.Table:
    """Read all rows of a source, which may be of a user's own.

    Args:
        source: The source.
        strings: As for `read`.

    Returns:
        The table.

    Raises:
        InputError: If the source returns something else.
    """
    table = source.read(strings)
    if not isinstance(table, pa.Table):
        raise InputError(
            f"{source.title}: read() returned {type(table).__name__}; expected a pyarrow.Table, "
            "such as motet.data.sources.as_table makes of frames and mappings"
        )
    return table


def stream_of(source: Source, strings: Collection[str] = ()) -> RowStream:
    """Read the rows of a source in parts.

    Args:
        source: The source; one that can only be read as a whole is in memory then.
        strings: As for `read`.

    Returns:
        The rows, of the types that `rows_of` gives them.
    """
    if type(source).stream is Source.stream:
        return TableStream(rows_of(source, strings))
    return source.stream(strings)


def names_in(given: Any, base: Path | None = None) -> RowName:
    """Return what names the rows of a source.

    Args:
        given: As for `as_source`.
        base: Folder of relative paths; the working folder if left out.

    Returns:
        A function from a row's number to "row 6" or, where lines are known, "row 6 (line 8 of
        rows.csv)".
    """
    return as_source(given, base).row_name
