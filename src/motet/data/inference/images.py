"""Columns of images: paths of files that are there, bytes of image files, or arrays."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import pyarrow as pa

from motet.data.images.columns import encoded_of, holds_arrays
from motet.data.images.reading import SUFFIXES, Corrupt, Header, header, is_image
from motet.data.inference.guesses import Guess, share_missing
from motet.data.row_folders import folder_of
from motet.problems import InputError

_LOOKED_AT = 50
_LARGEST = 224
"""Height and width, at most, that images of different sizes are resized to."""


def infer_image(name: str, column: pa.ChunkedArray, schema: pa.Schema) -> Guess | None:
    """Guess whether a column holds images.

    Args:
        name: Name of the column.
        column: Its training rows.
        schema: Schema of the table, which knows the folder of relative paths.

    Returns:
        The guess, with a size if the first images differ in size; None if it holds others.
    """
    kind = column.type
    first = column.drop_null().slice(0, _LOOKED_AT)
    if not len(first):
        return None
    try:
        if holds_arrays(kind, name):
            return Guess(name, "image", f"arrays of numbers{share_missing(column)}")
        if pa.types.is_string(kind) and not _all_named(first):
            return None
        encoded = encoded_of(first, lambda: folder_of(schema, name))
    except (InputError, pa.ArrowException):
        return None
    images = [image for row in range(len(first)) if (image := encoded.at(row)) is not None]
    headers = [known for each in images if (known := _header(each)) is not None]
    if 2 * len(headers) < len(first):
        return None
    what = "paths of image files" if isinstance(images[0], Path) else "bytes of image files"
    sizes = {(each.height, each.width) for each in headers}
    if len(sizes) == 1:
        height, width = sizes.pop()
        return Guess(name, "image", f"{what}, {height} x {width}{share_missing(column)}")
    size = [min(_LARGEST, int(median(side))) for side in zip(*sizes, strict=True)]
    reason = f"{what} of different sizes{share_missing(column)}"
    return Guess(name, "image", reason, {"size": size})


def _all_named(paths: Sequence[pa.Scalar]) -> bool:
    return all(str(path.as_py()).lower().endswith(SUFFIXES) for path in paths)


def _header(image: bytes | Path) -> Header | None:
    if isinstance(image, bytes) and not is_image(image):
        return None
    try:
        return header(image)
    except (Corrupt, ImportError):
        return None
