"""The kinds of JSON value that columns take, which mean what they mean in a file of JSON lines.

A kind checks the values of a column and makes an Arrow column of them, of a type that does not
depend on the other rows, so that rows of several requests can be joined. No kind reads a path; for
images see `motet.serving.image_kinds`.
"""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, final

import pyarrow as pa

from motet.data.empty import is_empty
from motet.data.values import as_texts

_NOTHING = type(None)
_NUMBERS = (float, int, bool)
_INTEGER = 1 << 63
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


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
    """A text, a number or a truth value, as one of several values.

    Args:
        dates: Whether a text that is a date is one, as it is in a file, where the column held other
            values than texts in training.
    """

    name, expected = "category", "a text, a number, true, false or null"

    def __init__(self, *, dates: bool = False) -> None:
        self._dates = dates

    @property
    def json(self) -> dict[str, Any]:
        return {"type": ["string", "number", "boolean"]}

    def read(self, values: Sequence[Any]) -> pa.Array:
        texts = (
            text_cell(value, dates=self._dates) if type(value) is str else _spelt(value, row)
            for row, value in enumerate(values)
        )
        return pa.array(texts, pa.string())


def text_cell(text: str, *, dates: bool) -> str | None:
    """Return the text of a cell, None where it is empty.

    Args:
        text: The text.
        dates: Whether a date, or a time without a zone, is spelt as one that a file holds.
    """
    if is_empty(text):
        return None
    if not (dates and _DATE.match(text)):
        return text
    try:
        found = pa.chunked_array([[text]]).cast(pa.timestamp("s"))
    except pa.ArrowInvalid:
        return text
    spelt: str = as_texts(found, "")[0].as_py()
    return spelt


def _spelt(value: Any, row: int) -> str | None:
    """Return a scalar as `motet.data.values.as_texts` spells it."""
    if value is None or type(value) is str:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is int and abs(value) < _INTEGER:
        return str(value)
    number = pa.array([_number(value, row)])
    found: str = as_texts(pa.chunked_array([number]), "")[0].as_py()
    return found


@final
class OfTexts(Kind):
    """A text.

    Args:
        dates: As for `OfCategories`.
    """

    name, expected = "text", "a text or null"

    def __init__(self, *, dates: bool = False) -> None:
        self._dates = dates

    @property
    def json(self) -> dict[str, Any]:
        return {"type": "string"}

    def read(self, values: Sequence[Any]) -> pa.Array:
        _check(values, (str, _NOTHING))
        texts = (each and text_cell(each, dates=self._dates) for each in values)
        return pa.array(texts, pa.string())


@final
class OfWords(Kind):
    """A text, or a list of words; the rows of a request have the same."""

    name = "words"
    expected = "a text, a list of words, or null, alike in all rows of a request"

    @property
    def json(self) -> dict[str, Any]:
        return {"anyOf": [{"type": "string"}, list_of({"type": ["string", "null"]})]}

    def read(self, values: Sequence[Any]) -> pa.Array:
        if not any(type(each) is list for each in values):
            return OfTexts().read(values)
        for row, words in enumerate(values):
            if type(words) not in (list, _NOTHING) or not _all(words, (str, _NOTHING)):
                raise Unfit(row)
        return pa.array(values, pa.list_(pa.string()))


@final
class OfSets(Kind):
    """A list of values; words for a missing value are texts among others there."""

    name, expected = "set", "a list of texts, numbers, true and false, or null"

    @property
    def json(self) -> dict[str, Any]:
        return {"type": "array", "items": {"type": ["string", "number", "boolean"]}}

    def read(self, values: Sequence[Any]) -> pa.Array:
        _check(values, (list, _NOTHING))
        lists = [
            None if each is None else [_spelt(one, row) for one in each]
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
        return {
            **list_of({"type": ["number", "boolean", "null"]}),
            "minItems": width,
            "maxItems": width,
        }

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
        return list_of(OfVectors(self._width).json)

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


def list_of(items: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of a list."""
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
class OfAnything(Kind):
    """A value for an input of another package, of one type in all rows of a request.

    Args:
        dates: As for `OfCategories`.
    """

    name, expected = "value", "a text, a number, true, false, a list of those, or null"

    def __init__(self, *, dates: bool = False) -> None:
        self._dates = dates

    @property
    def json(self) -> dict[str, Any]:
        return {"type": ["string", "number", "boolean", "array"]}

    def read(self, values: Sequence[Any]) -> pa.Array:
        _check(values, (str, float, int, bool, list, _NOTHING))
        cells = [
            text_cell(each, dates=self._dates) if type(each) is str else each for each in values
        ]
        try:
            return pa.array(cells)
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            raise Unfit(0, "values of several types, or none that a column holds") from None


@final
class OfSeveral(Kind):
    """A value for several inputs, which read one column in different ways.

    Args:
        kinds: What they take.
        dates: As for `OfCategories`.
    """

    def __init__(self, kinds: Sequence[Kind], *, dates: bool) -> None:
        self._kinds, self._any = kinds, OfAnything(dates=dates)
        self.name = kinds[0].name
        both = " that is also ".join(each.expected.removesuffix(" or null") for each in kinds)
        self.expected = f"{both}, or null, of one type in all rows of a request"

    @property
    def json(self) -> dict[str, Any]:
        return {"allOf": [dict(each.json) for each in self._kinds]}

    def read(self, values: Sequence[Any]) -> pa.Array:
        for each in self._kinds:
            each.read(values)
        return self._any.read(values)
