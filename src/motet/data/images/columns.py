"""Columns that hold images: paths, bytes, structs of both, or arrays of numbers."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from motet.data.images.opening import Encoded
from motet.data.images.reading import Corrupt, Resize, library, resized
from motet.data.values import described, is_list, is_number
from motet.problems import InputError

_FIELDS = frozenset(("bytes", "path"))


def holds_arrays(kind: pa.DataType, what: str) -> bool:
    """Return whether a column holds arrays, not files.

    Args:
        kind: Type of the column.
        what: The column, to begin a message with.

    Returns:
        Whether it does.

    Raises:
        InputError: If it holds no images.
    """
    if is_list(kind) and is_list(kind.value_type):
        inner = kind.value_type.value_type
        if is_number(inner.value_type if is_list(inner) else inner):
            return True
    if holds_files(kind):
        return False
    raise InputError(
        f"{what} holds {described(kind)}, expected images: paths, bytes, structs of bytes and "
        "path, or arrays (H, W) or (H, W, C) as lists of lists of numbers"
    )


def holds_files(kind: pa.DataType) -> bool:
    """Return whether a column may hold paths, bytes, or structs of both."""
    if pa.types.is_struct(kind):
        return _FIELDS.issubset(kind.field(place).name for place in range(kind.num_fields))
    return bool(pa.types.is_string(kind) or pa.types.is_binary(kind) or pa.types.is_null(kind))


def encoded_of(column: pa.ChunkedArray, root: Callable[[], Path]) -> Encoded:
    """Read a column of paths, of bytes, or of structs of both, in which bytes come first.

    Args:
        column: The column.
        root: Returns the folder of relative paths.

    Returns:
        The images, whose paths are absolute.
    """
    kind, count = column.type, len(column)
    if pa.types.is_struct(kind):
        content = pc.struct_field(column, "bytes").cast(pa.binary())
        paths = pc.struct_field(column, "path").cast(pa.string())
    elif pa.types.is_binary(kind):
        content, paths = column, None
    else:
        content = pa.chunked_array([pa.nulls(count, pa.binary())])
        paths = column.cast(pa.string())
    content = content.cast(pa.large_binary()).combine_chunks()
    are_paths = np.zeros(count, np.bool_)
    if paths is not None:
        names = [_absolute(each, root) for each in paths.to_pylist()]
        there = np.array([each is not None for each in names], np.bool_)
        are_paths = there & content.is_null().to_numpy(zero_copy_only=False)
        content = pc.if_else(pa.array(are_paths), pa.array(names, pa.large_binary()), content)
    return Encoded(content, are_paths, np.full(count, -1, np.int64))


def arrays_of(column: pa.ChunkedArray) -> list[NDArray[Any] | None]:
    """Read a column of arrays, nested lists (H, W) or (H, W, C); None where one is missing."""
    whole = column.combine_chunks()
    found = _alike(whole)
    return [_array(each) for each in whole] if found is None else list(found)


def shape_of(array: NDArray[Any]) -> tuple[int, int, int]:
    """Return height, width and channels of an array.

    Raises:
        Corrupt: If it is no image.
    """
    if array.dtype == object or array.ndim not in (2, 3) or not array.size:
        raise Corrupt("is not an array (H, W) or (H, W, C)")
    channels = array.shape[2] if array.ndim == 3 else 1
    if channels not in (1, 3):
        raise Corrupt(f"has the shape {array.shape}, expected 1 or 3 channels, as the last axis")
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise Corrupt("has pixels that are missing or infinite")
    elif array.min() < 0 or array.max() > 255:
        raise Corrupt("has whole numbers outside 0 to 255; give floating-point numbers instead")
    return array.shape[0], array.shape[1], channels


def fitted(
    array: NDArray[Any], channels: int, size: tuple[int, int], resize: Resize
) -> NDArray[Any]:
    """Return the pixels (H, W, C) of an array, uint8 of whole numbers and float32 of others.

    Raises:
        Corrupt: If it is no image, or has another size where that is refused.
    """
    height, width, given = shape_of(array)
    pixels: NDArray[Any] = array.astype(
        np.float32 if array.dtype.kind == "f" else np.uint8, copy=False
    )
    pixels = pixels.reshape(height, width, given)
    if given > channels:
        grey = pixels @ np.array([0.299, 0.587, 0.114], np.float32)[:, None]
        pixels = np.rint(grey).astype(np.uint8) if pixels.dtype == np.uint8 else grey
    if (height, width) != size:
        if resize == "refuse":
            resized(library().new("L", (width, height)), size, resize)
        planes = [library().fromarray(np.ascontiguousarray(p)) for p in np.moveaxis(pixels, 2, 0)]
        pixels = np.stack([np.asarray(resized(each, size, resize)) for each in planes], axis=2)
    return np.broadcast_to(pixels, (*size, channels))


def _absolute(path: str | None, root: Callable[[], Path]) -> bytes | None:
    if path is None:
        return None
    return os.fsencode(path if os.path.isabs(path) else os.path.join(root(), path))


def _alike(column: pa.Array) -> NDArray[Any] | None:
    """Return arrays of one shape, (N, ...); None if shapes differ or something is missing."""
    shape: list[int] = [len(column)]
    if column.null_count:
        return None
    while is_list(column.type):
        lengths = pc.list_value_length(column)
        sides = pc.unique(lengths).to_pylist() if len(column) else [0]
        if len(sides) != 1 or not sides[0]:
            return None
        shape.append(sides[0])
        column = column.flatten()
        if column.null_count:
            return None
    found: NDArray[Any] = column.to_numpy(zero_copy_only=False).reshape(shape)
    return found


def _array(value: pa.Scalar) -> NDArray[Any] | None:
    rows = value.as_py()
    if rows is None:
        return None
    whole = pa.types.is_integer(_innermost(value.type))
    try:
        found = np.array(rows, np.int64 if whole else np.float64)
    except (TypeError, ValueError):  # rows of different length, or a missing number
        return np.array(None, object)
    return found


def _innermost(kind: pa.DataType) -> pa.DataType:
    return _innermost(kind.value_type) if is_list(kind) else kind
