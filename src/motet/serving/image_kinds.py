"""Images in JSON: the bytes of a file in base64, or pixels; never a path."""

import base64
import binascii
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, final

import pyarrow as pa

from motet.serving.kinds import Kind, Unfit, list_of


@final
class OfFiles(Kind):
    """An image: the bytes of a PNG or JPEG file in base64, or pixels."""

    name = "image"
    expected = (
        "the bytes of a PNG or JPEG file in base64, pixels as lists (H, W) or (H, W, C) of whole "
        "numbers from 0 to 255, or null, alike in all rows of a request; no path"
    )

    @property
    def json(self) -> dict[str, Any]:
        text = {"type": "string", "contentEncoding": "base64"}
        return {"anyOf": [text, OfPixels().json]}

    def read(self, values: Sequence[Any]) -> pa.Array:
        if any(type(each) is list for each in values):
            return OfPixels(whole=True).read(values)
        return pa.array([_decoded(each, row) for row, each in enumerate(values)], pa.binary())


def _decoded(value: Any, row: int) -> bytes | None:
    if value is None:
        return None
    if type(value) is not str:
        raise Unfit(row)
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise Unfit(row, "a text that is not base64") from None


@final
class OfPixels(Kind):
    """Pixels as nested lists of numbers."""

    name, expected = "pixels", "pixels as lists (H, W) or (H, W, C) of numbers, or null"

    @property
    def json(self) -> dict[str, Any]:
        return list_of(list_of({"anyOf": [{"type": "number"}, list_of({"type": "number"})]}))

    def __init__(self, *, whole: bool = False) -> None:
        self._whole = whole

    def read(self, values: Sequence[Any]) -> pa.Array:
        types = (int,) if self._whole else (int, float)
        number = pa.int64() if self._whole else pa.float64()
        for row, image in enumerate(values):
            if image is not None and not all(map(_of(types), _pixels(image, row))):
                raise Unfit(row, "pixels that are not such numbers")
        first = next((each for each in values if each is not None), [[0]])
        deep = bool(first) and bool(first[0]) and type(first[0][0]) is list
        kind = pa.list_(pa.list_(pa.list_(number) if deep else number))
        try:
            return pa.array(values, kind)
        except (pa.ArrowException, OverflowError):
            raise Unfit(0, "images of several shapes, or numbers that are too large") from None


def _of(types: tuple[type, ...]) -> Callable[[Any], bool]:
    return lambda value: type(value) in types and (type(value) is int or math.isfinite(value))


def _pixels(image: Any, row: int) -> Iterator[Any]:
    """Yield the numbers of nested lists."""
    for line in image if type(image) is list else [None]:
        if type(line) is not list:
            raise Unfit(row, "no list of lists of numbers")
        for each in line:
            if type(each) is list:
                yield from each
            else:
                yield each
