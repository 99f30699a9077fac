"""Labels of pixels at the size of the pixels that an encoder gets, placed as those were."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from motet.data.images.opening import in_threads
from motet.data.inputs.base import Input
from motet.data.inputs.shapes import BranchShape
from motet.data.targets.pixel_maps import Files, Map, Maps, Wrong
from motet.problems import InputError, RowError

Size = tuple[int, int]
"""Height and width."""


class Frame(NamedTuple):
    """The size of labels, and what becomes of those of another size."""

    size: Size | None
    """None until labels are seen."""
    resize: str
    """stretch, crop, pad, or refuse; see the input of images."""
    image: Size | None = None
    """The size of the image, which decides what crop and pad keep; that of the labels if None."""


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
    return Frame(size or (height, width), resize, (height, width))


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
                _place(convert(found), into[place], frame)

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


def _place(labels: Map, into: Map, frame: Frame) -> None:
    """Write labels (h, w) into (H, W) by the nearest one, where the image shows their place."""
    if labels.shape == into.shape:
        into[:] = labels
        return
    image = frame.image or into.shape
    ratios = [goal / own for goal, own in zip(image, labels.shape, strict=True)]
    ratio = {"crop": max(ratios), "pad": min(ratios)}.get(frame.resize)
    found = []
    for own, side, goal in zip(labels.shape, image, into.shape, strict=True):
        places = (np.arange(goal) + 0.5) * side / goal  # in pixels of the image
        start, size = 0.0, float(side)  # of all labels, in the same pixels
        if frame.resize == "crop":
            size = own * ratio
            start = (side - size) / 2
        elif frame.resize == "pad":
            size = max(round(own * ratio), 1)
            start = (side - size) // 2
        found.append(np.floor((places - start) * own / size).astype(np.int64))
        if frame.resize != "pad":
            found[-1] = found[-1].clip(0, own - 1)  # rounding
    inside = [(each >= 0) & (each < own) for each, own in zip(found, labels.shape, strict=True)]
    rows, columns = (each[there] for each, there in zip(found, inside, strict=True))
    into[np.ix_(*inside)] = labels[rows[:, None], columns]


def lists_of_maps(values: Map) -> pa.Array:
    """Return maps (N, H, W) as a column of nested lists."""
    _, height, width = values.shape
    lines = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), width)
    return pa.FixedSizeListArray.from_arrays(lines, height)
