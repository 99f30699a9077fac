"""Conditions on columns of a row, such as ``click == 1 and country in ['DE', 'AT']``.

    condition   = all ("or" all)*
    all         = one ("and" one)*
    one         = "(" condition ")" | column operator value | column "in" "[" value, ... "]"
    operator    = == != < <= > >=
    column      = a name of letters, digits and underscores, or any text in `backquotes`
    value       = a number, true, false, or a text in 'single' or "double" quotes

It is only read, never run as code. How it is applied to a table is in `motet.data.conditions`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from motet.problems import InputError

Value = bool | int | float | str

_ANY = "a column, a value or an operator"
OPERATORS = ("==", "!=", "<=", ">=", "<", ">")


@dataclass(frozen=True)
class Comparison:
    """A column compared with a value, or with several where the operator is ``in``."""

    column: str
    operator: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Joined:
    """Several conditions, of which all must hold (``and``) or any (``or``)."""

    operator: str
    parts: tuple["Condition", ...]


Condition = Comparison | Joined


def parse(text: str) -> Condition:
    """Read a condition.

    Returns:
        The condition.

    Raises:
        InputError: If it is not one; the message has the place.

    Example:
        >>> parse("click == 1 and country in ['DE', 'AT']").parts[1]
        Comparison(column='country', operator='in', values=('DE', 'AT'))
    """
    try:
        return _Reader(text).whole()
    except RecursionError:
        raise InputError("found too many brackets within brackets; expected fewer") from None


def columns_of(condition: Condition) -> tuple[str, ...]:
    """Name the columns that a condition reads."""
    return tuple(dict.fromkeys(_columns(condition)))


def _columns(condition: Condition) -> Iterator[str]:
    if isinstance(condition, Comparison):
        yield condition.column
    else:
        for part in condition.parts:
            yield from _columns(part)


_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))
    |(?P<text>'[^']*'|"[^"]*")
    |(?P<name>`[^`]+`|[^\W\d]\w*)
    |(?P<sign>==|!=|<=|>=|<|>|[()\[\],])
    |(?P<end>$)
    )""",
    re.VERBOSE,
)

_Token = tuple[str, str, int]
"""Its kind, its text, and its place, counted from 0."""


class _Reader:
    """Reads a condition from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._split())
        self._next = 0

    def whole(self) -> Condition:
        found = self._any()
        if self._kind != "end":
            raise self._refused("and, or, or the end")
        return found

    def _split(self) -> Iterator[_Token]:
        place = 0
        while True:
            found = _TOKEN.match(self._text, place)
            if found is None:
                at = place + len(self._text[place:]) - len(self._text[place:].lstrip())
                raise self._problem(at, self._text[at:].split()[0], _ANY)
            kind = str(found.lastgroup)
            yield kind, found[kind], found.start(kind)
            place = found.end()
            if kind == "end":
                return

    @property
    def _kind(self) -> str:
        return self._tokens[self._next][0]

    @property
    def _token(self) -> str:
        return self._tokens[self._next][1]

    def _take(self) -> str:
        self._next += 1
        return self._tokens[self._next - 1][1]

    def _takes(self, word: str) -> bool:
        if self._kind in ("name", "sign") and self._token == word:
            self._next += 1
            return True
        return False

    def _any(self) -> Condition:
        return self._joined("or", lambda: self._joined("and", self._one))

    def _joined(self, operator: str, read: Callable[[], Condition]) -> Condition:
        parts = [read()]
        while self._takes(operator):
            parts.append(read())
        return parts[0] if len(parts) == 1 else Joined(operator, tuple(parts))

    def _one(self) -> Condition:
        if self._takes("("):
            found = self._any()
            self._require(")")
            return found
        if self._kind != "name" or self._token in ("and", "or", "in", "true", "false"):
            raise self._refused("the name of a column (`in backquotes` if it has spaces)")
        column = self._take().strip("`")
        if self._takes("in"):
            return Comparison(column, "in", self._values())
        if self._token not in OPERATORS:
            raise self._refused(f"{' '.join(OPERATORS)} or in")
        return Comparison(column, self._take(), (self._value(),))

    def _values(self) -> tuple[Value, ...]:
        self._require("[")
        values = [self._value()]
        while self._takes(","):
            values.append(self._value())
        self._require("]")
        return tuple(values)

    def _value(self) -> Value:
        kind, token = self._kind, self._token
        if kind == "number":
            self._take()
            return int(token) if token.lstrip("+-").isdecimal() else float(token)
        if kind == "text":
            return self._take()[1:-1]
        if token.lower() in ("true", "false"):
            return self._take().lower() == "true"
        hint = f"; if {token} is a text, put it in quotes: '{token}'" if kind == "name" else ""
        raise self._refused("a number, a text in quotes, true or false", hint)

    def _require(self, sign: str) -> None:
        if not self._takes(sign):
            raise self._refused(sign)

    def _refused(self, expected: str, hint: str = "") -> InputError:
        _, token, place = self._tokens[self._next]
        return self._problem(place, token, expected, hint)

    def _problem(self, place: int, token: str, expected: str, hint: str = "") -> InputError:
        found = f"{token!r} at character {place + 1}" if token else "the end"
        if token.startswith("=") and not token.startswith("=="):
            hint = "; write == to compare"
        elif token in ("&", "&&", "|", "||", "not", "AND", "OR"):
            hint = "; parts are joined by and, or"
        return InputError(f"in {self._text!r} found {found}; expected {expected}{hint}")
