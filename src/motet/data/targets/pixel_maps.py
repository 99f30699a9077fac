"""Columns that hold a label for every pixel: arrays in cells, or files of images.

A cell is a nested list (H, W), a flat list of H * W numbers, JSON of one of these (as CSV has it),
a path, or the bytes of an image; null where a row has no labels. Labels cover the whole image of
their row and are brought to the size of the pixels that an encoder gets as those were, by the
nearest label, as there is none between two.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from motet.data.images.columns import encoded_of, holds_files
from motet.data.images.opening import Encoded
from motet.data.images.reading import Corrupt, decode_numbers, file_of, library
from motet.data.row_folders import folder_of
from motet.data.selection import require_columns
from motet.data.values import as_floats, described, is_list, is_number, list_lengths
from motet.problems import InputError

Map = NDArray[Any]


class Wrong(Exception):
    """Labels of a row that cannot be used, and why."""


class Maps(Protocol):
    """Labels of N rows, read row by row."""

    def __len__(self) -> int: ...

    def at(self, row: int) -> Map | None:
        """Return the labels of a row, (H, W) or flat; None if there are none.

        Raises:
            Wrong: If they cannot be read.
        """


class Arrays(NamedTuple):
    """Labels that are in memory."""

    rows: Sequence[Map | None]

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, row: int) -> Map | None:
        return self.rows[row]


class Files(NamedTuple):
    """Labels in files of images, opened when they are asked for."""

    images: Encoded

    def __len__(self) -> int:
        return len(self.images.paths)

    def at(self, row: int) -> Map | None:
        found = self.images.at(row)
        if found is None:
            return None
        try:
            return decode_numbers(found if isinstance(found, bytes) else file_of(found))
        except Corrupt as error:
            raise Wrong(f"{error}" if isinstance(found, bytes) else f"{found} {error}") from None


def maps_in(table: pa.Table, column: str, task: str, root: str | None = None) -> Maps:
    """Read a column of labels.

    Args:
        table: The rows.
        column: The column.
        task: Name of the task.
        root: Folder of relative paths; that of the data file if left out.

    Returns:
        The labels; files are opened when they are asked for.

    Raises:
        InputError: If the table lacks the column, or it holds something else.
    """
    require_columns(table, [column], f"task {task!r}")
    found, what = table[column], f"column {column!r}"
    kind = found.type
    if pa.types.is_null(kind):
        return Arrays([None] * len(found))
    if is_list(kind):
        inner = kind.value_type.value_type if is_list(kind.value_type) else kind.value_type
        if is_number(inner) or pa.types.is_boolean(inner) or pa.types.is_null(inner):
            return Arrays(_arrays(found, what))
    if pa.types.is_string(kind) and _are_json(found):
        return Arrays([_from_json(each) for each in found.to_pylist()])
    if holds_files(kind):
        library()
        folder = None if root is None else Path(root)
        return Files(encoded_of(found, lambda: folder or folder_of(table.schema, what)))
    raise InputError(
        f"{what} holds {described(kind)}, expected labels of pixels: paths or bytes of images, "
        "nested lists (H, W), lists of H * W numbers, or JSON of these"
    )


def _are_json(texts: pa.ChunkedArray) -> bool:
    known = texts.drop_null()
    return len(known) > 0 and known[0].as_py().lstrip().startswith("[")


def _from_json(text: str | None) -> Map | None:
    if text is None:
        return None
    with suppress(ValueError, TypeError):
        found = np.array(json.loads(text), np.float64)  # null becomes NaN
        if found.ndim in (1, 2):
            return found
    return np.zeros((0, 0))


def _arrays(column: pa.ChunkedArray, what: str) -> list[Map | None]:
    """Return the arrays of lists, as views of one where that is possible."""
    whole = column.combine_chunks()
    nested = is_list(whole.type.value_type)
    lines = whole.flatten()  # of rows that are there
    numbers = _numbers(lines.flatten() if nested else lines, what)
    there = whole.is_valid().to_numpy(zero_copy_only=False)
    lengths = list_lengths(whole.filter(whole.is_valid()))
    widths = list_lengths(lines) if nested else None
    if widths is None:
        ends = np.cumsum(lengths)
        cut = [numbers[end - size : end] for end, size in zip(ends, lengths, strict=True)]
    else:
        cut = _cut(numbers, widths, lengths)
    found = iter(cut)
    return [next(found) if each else None for each in there]


def _cut(numbers: Map, widths: NDArray[np.int64], lengths: NDArray[np.int64]) -> list[Map]:
    """Return arrays of ``lengths`` lines each; one whose lines differ in width is empty."""
    found, line, place = [], 0, 0
    for count in lengths:
        own = widths[line : line + count]
        size = int(own.sum())
        values = numbers[place : place + size]
        even = bool(len(own)) and bool((own == own[0]).all())
        found.append(values.reshape(len(own), -1) if even and size else values[:0].reshape(0, 0))
        line, place = line + count, place + size
    return found


def _numbers(flat: pa.Array, what: str) -> Map:
    """Return numbers as they are, those with missing ones among them as floating-point ones."""
    if flat.null_count == 0 and is_number(flat.type):
        found: Map = flat.to_numpy(zero_copy_only=False)
        return found
    return as_floats(pa.chunked_array([flat]), what)
