"""The columns that a run reads, each with the kind of JSON value that it takes.

A kind checks the values of a column and makes an Arrow column of them, of a type that does not
depend on the other rows, so that rows of several requests can be joined. No kind reads a path:
images are their bytes, in base64, or numbers.
"""

import base64
import binascii
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import pyarrow as pa

from motet.data.empty import is_empty
from motet.data.inputs.base import Input
from motet.data.inputs.category import Category
from motet.data.inputs.image import Image
from motet.data.inputs.number import Number
from motet.data.inputs.sequence import FrameSequence
from motet.data.inputs.set import Set
from motet.data.inputs.text import Text
from motet.data.inputs.time import Time
from motet.data.inputs.vector import Vector
from motet.data.preprocessing import Preprocessing
from motet.data.values import as_texts

_LISTED = 1000
"""Values of a category that the schema lists."""
_NOTHING = type(None)
_NUMBERS = (float, int, bool)
_INTEGER = 1 << 63


class Unfit(Exception):
    """A value that a column does not take.

    Args:
        row: Number of its row.
        found: What was found, if not the value itself.
    """

    def __init__(self, row: int, found: str = "") -> None:
        super().__init__(row, found)
        self.row, self.found = row, found


class Kind(ABC):
    """A kind of JSON value."""

    name: str
    expected: str
    """What it takes, for messages and the schema."""

    @property
    @abstractmethod
    def json(self) -> dict[str, Any]:
        """JSON Schema of a value that is not null."""

    @abstractmethod
    def read(self, values: Sequence[Any]) -> pa.Array:
        """Make a column of values.

        Raises:
            Unfit: If there is one that it does not take.
        """


def _check(values: Sequence[Any], types: tuple[type, ...]) -> None:
    """Search for a value of another type, if there is one."""
    if not _all(values, types):
        raise Unfit(next(row for row, value in enumerate(values) if type(value) not in types))


def _all(values: Sequence[Any] | None, types: tuple[type, ...]) -> bool:
    return set(map(type, values or ())).issubset(types)


@final
class OfNumbers(Kind):
    """A number; true and false are 1 and 0."""

    name, expected = "number", "a number or null"

    @property
    def json(self) -> dict[str, Any]:
        return {"type": ["number", "boolean"]}

    def read(self, values: Sequence[Any]) -> pa.Array:
        return pa.array([_number(each, row) for row, each in enumerate(values)], pa.float64())


def _number(value: Any, row: int) -> float | None:
    """Return a finite number, or None."""
    if value is None:
        return None
    try:
        found = float(value) if type(value) in _NUMBERS else math.inf
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise Unfit(row)
    return found


@final
class OfCategories(Kind):
    """A text, a number or a truth value, as one of several values."""

    name, expected = "category", "a text, a number, true, false or null"

    @property
    def json(self) -> dict[str, Any]:
        return {"type": ["string", "number", "boolean"]}

    def read(self, values: Sequence[Any]) -> pa.Array:
        return pa.array([_as_text(value, row) for row, value in enumerate(values)], pa.string())


def _as_text(value: Any, row: int) -> str | None:
    """Return a scalar as `motet.data.values.as_texts` spells it, None where it is empty."""
    if type(value) is str:
        return None if is_empty(value) else value
    if value is None:
        return None
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is int and abs(value) < _INTEGER:
        return str(value)
    number = pa.array([_number(value, row)])
    found: str = as_texts(pa.chunked_array([number]), "")[0].as_py()
    return found


@final
class OfTexts(Kind):
    """A text."""

    name, expected = "text", "a text or null"

    @property
    def json(self) -> dict[str, Any]:
        return {"type": "string"}

    def read(self, values: Sequence[Any]) -> pa.Array:
        _check(values, (str, _NOTHING))
        return pa.array([None if is_empty(each) else each for each in values], pa.string())


@final
class OfWords(Kind):
    """A text, or a list of words; the rows of a request have the same."""

    name = "words"
    expected = "a text, a list of words, or null, alike in all rows of a request"

    @property
    def json(self) -> dict[str, Any]:
        return {"anyOf": [{"type": "string"}, _list({"type": ["string", "null"]})]}

    def read(self, values: Sequence[Any]) -> pa.Array:
        if not any(type(each) is list for each in values):
            return OfTexts().read(values)
        for row, words in enumerate(values):
            if type(words) not in (list, _NOTHING) or not _all(words, (str, _NOTHING)):
                raise Unfit(row)
        return pa.array(values, pa.list_(pa.string()))


@final
class OfSets(Kind):
    """A list of values."""

    name, expected = "set", "a list of texts, numbers, true and false, or null"

    @property
    def json(self) -> dict[str, Any]:
        return {"type": "array", "items": {"type": ["string", "number", "boolean"]}}

    def read(self, values: Sequence[Any]) -> pa.Array:
        _check(values, (list, _NOTHING))
        lists = [
            None if each is None else [_as_text(one, row) for one in each]
            for row, each in enumerate(values)
        ]
        return pa.array(lists, pa.list_(pa.string()))


@final
class OfTimes(Kind):
    """A point in time, as text or number; the rows of a request have the same."""

    name = "time"
    expected = (
        "a text such as 2026-01-31 or 2026-01-31T12:00:00Z, a number where the run has a unit, or "
        "null, alike in all rows of a request"
    )

    @property
    def json(self) -> dict[str, Any]:
        return {"type": ["string", "number"]}

    def read(self, values: Sequence[Any]) -> pa.Array:
        if any(type(each) is str for each in values):
            return OfTexts().read(values)
        _check(values, (int, float, _NOTHING))
        if all(each is None for each in values):
            return pa.array(values, pa.string())
        if any(type(each) is float or abs(each or 0) >= _INTEGER for each in values):
            return OfNumbers().read(values)
        return pa.array(values, pa.int64())


@final
class OfVectors(Kind):
    """A list of numbers of one length."""

    name = "vector"

    def __init__(self, width: int) -> None:
        self._width = width
        self.expected = f"a list of {width:,} numbers, or null"

    @property
    def json(self) -> dict[str, Any]:
        width = self._width
        return {**_list({"type": ["number", "null"]}), "minItems": width, "maxItems": width}

    def read(self, values: Sequence[Any]) -> pa.Array:
        vectors = [_vector(each, self._width, row) for row, each in enumerate(values)]
        return pa.array(vectors, pa.list_(pa.float64()))


@final
class OfFrames(Kind):
    """A list of vectors of one length."""

    name = "sequence"

    def __init__(self, width: int) -> None:
        self._width = width
        self.expected = f"a list of lists of {width:,} numbers, or null"

    @property
    def json(self) -> dict[str, Any]:
        return _list(OfVectors(self._width).json)

    def read(self, values: Sequence[Any]) -> pa.Array:
        _check(values, (list, _NOTHING))
        frames = [
            None if each is None else [_vector(one, self._width, row) for one in each]
            for row, each in enumerate(values)
        ]
        for row, each in enumerate(frames):
            if None in (each or ()):
                raise Unfit(row, "a frame that is null")
        return pa.array(frames, pa.list_(pa.list_(pa.float64())))


def _list(items: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": dict(items)}


def _vector(value: Any, width: int, row: int) -> list[float | None] | None:
    if value is None:
        return None
    if type(value) is not list:
        raise Unfit(row)
    if len(value) != width:
        raise Unfit(row, f"a list of {len(value):,}")
    return [_number(each, row) for each in value]


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
        return _list(_list({"anyOf": [{"type": "number"}, _list({"type": "number"})]}))

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


@final
class OfAnything(Kind):
    """A value for an input of another package, of one type in all rows of a request."""

    name, expected = "value", "a text, a number, true, false, a list of those, or null"

    @property
    def json(self) -> dict[str, Any]:
        return {"type": ["string", "number", "boolean", "array"]}

    def read(self, values: Sequence[Any]) -> pa.Array:
        _check(values, (str, float, int, bool, list, _NOTHING))
        try:
            return pa.array(values)
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            raise Unfit(0, "values of several types, or none that a column holds") from None


@dataclass(frozen=True)
class Column:
    """A column of a row."""

    name: str
    input: str
    """The input that reads it."""
    kind: Kind
    values: tuple[str, ...] = ()
    """Known values of a category, if they are few."""


def columns_of(preprocessing: Preprocessing) -> dict[str, Column]:
    """Return the columns that the inputs of a run read, by name.

    Args:
        preprocessing: That of the run; of several sources, also the names that these have for a
            column.
    """
    found: dict[str, Column] = {}
    for name, each in preprocessing.fitted_inputs.items():
        own, kind, values = each.columns(()), _kind(each), _values(each)
        renamed = [
            source["columns"][name]
            for source in preprocessing.sources.values()
            if name in source["columns"]
        ]
        for column in (*own, *renamed):
            found.setdefault(column, Column(column, name, kind, values))
    return found


def _kind(given: Input) -> Kind:
    match given:
        case Number():
            return OfNumbers()
        case Category():
            return OfCategories()
        case Text():
            return OfWords() if given.state()["words"] else OfTexts()
        case Set():
            return OfSets()
        case Time():
            return OfTimes()
        case Vector():
            state = given.state()
            if not state["lists"]:
                return OfNumbers()
            return OfVectors(len(state.get("scaled") or state["mean"]))
        case FrameSequence():
            return OfFrames(len(given.state()["mean"]))
        case Image():
            return OfPixels() if given.state()["floats"] else OfFiles()
        case _:
            return OfAnything()


def _values(given: Input) -> tuple[str, ...]:
    values = given.state()["values"] if isinstance(given, Category) else ()
    return tuple(values) if len(values) <= _LISTED else ()
