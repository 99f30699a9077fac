"""Columns that hold a label for every pixel: arrays in cells, or files of images.

A cell is a nested list (H, W), a flat list of H * W numbers, JSON of one of these (as CSV has it),
a path, or the bytes of an image; null where a row has no labels. Labels cover the whole image of
their row and are brought to the size of the pixels that an encoder gets as those were, by the
nearest label, as there is none between two.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from motet.data.images.columns import encoded_of
from motet.data.images.opening import Encoded, in_threads
from motet.data.images.reading import Corrupt, decode_numbers, file_of, library
from motet.data.inputs.base import Input
from motet.data.inputs.shapes import BranchShape
from motet.data.row_folders import folder_of
from motet.data.selection import require_columns
from motet.data.values import as_floats, described, is_list, is_number
from motet.problems import InputError, RowError

Size = tuple[int, int]
"""Height and width."""
Map = NDArray[Any]


class Wrong(Exception):
    """Labels of a row that cannot be used, and why."""


class Frame(NamedTuple):
    """The size of labels, and what becomes of those of another size."""

    size: Size | None
    """None until labels are seen."""
    resize: str
    """stretch, crop, pad, or refuse; see the input of images."""


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


def frame_of(size: Size | None, asked: str | None, inputs: Mapping[str, Input]) -> Frame:
    """Find the size of the labels of a task.

    Args:
        size: The one that the task gives, if it does.
        asked: The input that has the image, if the task names one.
        inputs: The fitted inputs.

    Returns:
        The size of the task, else that of its image, if there is one, and how that was resized.

    Raises:
        InputError: If the input is not there or no image, or several are and none is named.
    """
    name = image_of(asked, inputs)
    if name is None:
        return Frame(size, "refuse")
    shape = inputs[name].shape()
    assert isinstance(shape, BranchShape)
    _, height, width = shape.arguments
    resize = getattr(inputs[name], "resize", "refuse")
    if size is not None and resize == "refuse":
        resize = "stretch"
    return Frame(size or (height, width), resize)


def image_of(asked: str | None, inputs: Mapping[str, Input]) -> str | None:
    """Find the input whose pixels have the labels; None if there are no images."""
    shapes = {name: each.shape() for name, each in inputs.items()}
    images = [n for n, s in shapes.items() if isinstance(s, BranchShape) and s.reads == "image"]
    if asked is not None and inputs and asked not in images:
        known = ", ".join(images) or "none is an image"
        raise InputError(f"found {asked!r}, expected an input of images: {known}", option="input")
    if asked is None and len(images) > 1:
        raise InputError(
            f"several inputs are images ({', '.join(images)}); give the one whose pixels have the "
            "labels",
            option="input",
        )
    return next(iter(images), None) if asked is None else asked if inputs else None


def labels_in(
    table: pa.Table, column: str, task: str, asked: str | None, inputs: Mapping[str, Input]
) -> Maps:
    """Read the labels of a task, whose relative paths start where those of its images do."""
    name = image_of(asked, inputs)
    root = None if name is None else getattr(inputs[name], "root", None)
    return maps_in(table, column, task, root)


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
    if pa.types.is_string(kind) or pa.types.is_binary(kind) or pa.types.is_struct(kind):
        library()
        folder = None if root is None else Path(root)
        return Files(encoded_of(found, lambda: folder or folder_of(table.schema, what)))
    raise InputError(
        f"{what} holds {described(kind)}, expected labels of pixels: paths or bytes of images, "
        "nested lists (H, W), lists of H * W numbers, or JSON of these"
    )


def _are_json(texts: pa.ChunkedArray) -> bool:
    first = next((each for each in texts.to_pylist() if each is not None), "")
    return first.lstrip().startswith("[")


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
    if isinstance(whole, pa.ChunkedArray):
        whole = pa.concat_arrays(whole.chunks)
    nested = is_list(whole.type.value_type)
    lines = whole.flatten()  # of rows that are there
    numbers = _numbers(lines.flatten() if nested else lines, what)
    there = whole.is_valid().to_numpy(zero_copy_only=False)
    lengths = _lengths(whole.filter(whole.is_valid()))
    widths = _lengths(lines) if nested else None
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


def _lengths(lists: pa.Array) -> NDArray[np.int64]:
    lengths = pa.compute.fill_null(pa.compute.list_value_length(lists), 0)
    found: NDArray[np.int64] = lengths.to_numpy(zero_copy_only=False).astype(np.int64)
    return found


# From labels of rows to one array -------------------------------------------------------------


def first_size(maps: Maps, where: str) -> Size | None:
    """Return the size of the first labels; None if no row has any.

    Raises:
        RowError: If they cannot be read, or are flat.
    """
    for row in range(len(maps)):
        with _in_row(where, row):
            found = maps.at(row)
            if found is not None:
                _refuse_flat(found)
                _check_shape(found)
                return found.shape[0], found.shape[1]
    return None


def fill(
    maps: Maps,
    rows: Sequence[int],
    frame: Frame,
    into: Map,
    convert: Callable[[Map], Map],
    where: str,
) -> None:
    """Write labels into an array; rows without labels, and places outside, stay as they are.

    Args:
        maps: The labels.
        rows: Which rows, (B,).
        frame: Their size.
        into: Where to, (B, H, W).
        convert: Returns labels (h, w) as they are to be written; raises `Wrong`.
        where: What messages call the column.

    Raises:
        RowError: If labels of a row cannot be used.
    """

    def one(numbered: tuple[int, int]) -> None:
        place, row = numbered
        with _in_row(where, row):
            found = maps.at(row)
            if found is not None:
                found = _of_two_axes(found, frame)
                _place(convert(found), into[place], frame.resize)

    in_threads(one, list(enumerate(rows)), None if isinstance(maps, Files) else 1)


@contextmanager
def _in_row(where: str, row: int) -> Iterator[None]:
    """Name the row of labels that cannot be used."""
    try:
        yield
    except Wrong as error:
        raise RowError(f"{where}:", row, f": the label {error}") from None


def _refuse_flat(found: Map) -> None:
    if found.ndim == 1:
        raise Wrong(
            f"is a flat list of {len(found):,} numbers, whose shape is unknown; give size: "
            "[height, width], or nested lists"
        )


def _of_two_axes(found: Map, frame: Frame) -> Map:
    assert frame.size is not None
    height, width = frame.size
    if found.ndim == 1:
        if len(found) != height * width:
            raise Wrong(
                f"is a flat list of {len(found):,} numbers, expected {height} x {width} = "
                f"{height * width:,}; give nested lists, or correct size"
            )
        return found.reshape(height, width)
    _check_shape(found)
    if found.shape != (height, width) and frame.resize == "refuse":
        raise Wrong(
            f"has {found.shape[0]} x {found.shape[1]} pixels, expected {height} x {width} as the "
            "image has; correct it, or give the task a size, to which labels are resized"
        )
    return found


def _check_shape(found: Map) -> None:
    if found.ndim != 2 or not found.size:
        raise Wrong("is not a list of lines of equal length, one number per pixel")


def _place(labels: Map, into: Map, how: str) -> None:
    """Write labels (h, w) into (H, W) by the nearest one."""
    given, wanted = labels.shape, into.shape
    if given == wanted:
        into[:] = labels
        return
    ratios = [goal / own for goal, own in zip(wanted, given, strict=True)]
    if how == "pad":
        inside = [max(round(own * min(ratios)), 1) for own in given]
        start = [(goal - part) // 2 for goal, part in zip(wanted, inside, strict=True)]
        into = into[start[0] : start[0] + inside[0], start[1] : start[1] + inside[1]]
        inner: list[float] = list(given)
    else:
        inner = [goal / max(ratios) for goal in wanted] if how == "crop" else list(given)
    places = [
        np.clip((own - part) / 2 + (np.arange(goal) + 0.5) * part / goal, 0, own - 1)
        for own, part, goal in zip(given, inner, into.shape, strict=True)
    ]
    rows, columns = (each.astype(np.int64) for each in places)
    into[:] = labels[rows[:, None], columns]


def lists_of_maps(values: Map) -> pa.Array:
    """Return maps (N, H, W) as a column of nested lists."""
    _, height, width = values.shape
    lines = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), width)
    return pa.FixedSizeListArray.from_arrays(lines, height)
