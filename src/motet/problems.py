"""Errors in the user's words: what was found, what was expected, what to type next.

``InputError`` is raised at every public door for wrong input; the command line turns it into one
message and exit code 2. Pydantic's findings are translated here, for configs and arguments alike.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

from motet.other_names import Others, plain


class InputError(ValueError):
    """The user's input cannot be used; the message says what was found and what to do."""

    key: tuple[str, ...] = ()
    """Where in the part of a config that was put to use, if that is known."""


@contextmanager
def about(key: str) -> Iterator[None]:
    """Say of an `InputError` that passes which key of a config it is about."""
    try:
        yield
    except InputError as error:
        error.key = (key, *error.key)
        raise


class RowError(InputError):
    """One row of a table cannot be used.

    Args:
        before: The message up to "row".
        row: The row, counted from 0; a whole number, also of NumPy.
        after: The message from there on.
        name: What the message calls the row; its number if left out.
    """

    def __init__(self, before: str, row: Any, after: str, name: str | None = None) -> None:
        self.before, self.row, self.after = before, int(row), after
        super().__init__(f"{before} {name or f'row {self.row:,}'}{after}")

    def within(self, batch: str) -> "RowError":
        """Say of which batch the row is, as its number in a table is not known."""
        return RowError(self.before, self.row, f" of {batch}{self.after}")

    def of(self, rows: Any) -> "RowError":
        """Count the row in the table of which these rows, (N,), were looked at."""
        return RowError(self.before, rows[self.row], self.after)

    def named(self, name: str) -> "RowError":
        """Call the row by another name, such as one that says on which line it is."""
        return RowError(self.before, self.row, self.after, name)


def nearest(name: str, known: Iterable[str], others: Others | None = None) -> str | None:
    """Return the known name that ``name`` may have meant, if there is one.

    Args:
        name: What was given.
        known: The names that fit.
        others: What else the known ones are called.

    Returns:
        The same name spelt in another way, what goes by the name elsewhere, or one that looks
        alike, in this order.
    """
    names = {plain(each): each for each in reversed([str(each) for each in known])}
    spelt = plain(name)
    if spelt in names:
        return names[spelt]
    for other in (others or {}).get(spelt, ()):
        if other in names.values():
            return other
    near = get_close_matches(spelt, names, n=1)
    return names[near[0]] if near else None


def hint(name: str, known: Iterable[str], others: Others | None = None) -> str:
    """Say which known name ``name`` may have meant, or list the known ones; see `nearest`."""
    names = [str(each) for each in known]
    near = nearest(name, names, others)
    if near is not None:
        return f"did you mean {near!r}?"
    return f"known: {', '.join(names)}" if names else "none is known"


def with_article(word: str) -> str:
    """Put "a" or "an" before a word."""
    return f"{'an' if word.lower().startswith((*'aeiou', 'lr_')) else 'a'} {word}"


def reason(error: Exception) -> str:
    """Say why a file could not be read, from what Python raised."""
    if isinstance(error, KeyError):
        return f"it has no {error}"
    return (str(error) or type(error).__name__).splitlines()[0]


def shown(value: object) -> str:
    """Quote a value for a message, cut to one short line."""
    if value is None or isinstance(value, bool):  # as YAML spells them
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (list, tuple)) and len(repr(value)) > 60:
        return f"a list of {len(value)}"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


_EXPECTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a text",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
    "sequence_str": "a list of texts",
    "greater_than": "a number > {gt:g}",
    "greater_than_equal": "a number >= {ge:g}",
    "less_than": "a number < {lt:g}",
    "less_than_equal": "a number <= {le:g}",
    "literal_error": "{expected}",
    "is_instance_of": "{class}",
    "callable_type": "a function",
    "none_required": "null",
    "too_short": "at least {min_length} entries",
    "too_long": "at most {max_length} entries",
    "string_too_short": "a text that is not empty",
}


def explain(error: Mapping[str, Any]) -> str:
    """Translate one of pydantic's error details into "found ..., expected ..."."""
    kind, context = str(error["type"]), error.get("ctx", {})
    if kind == "missing":
        return "missing, but required"
    if kind == "value_error":
        return str(context["error"])
    expected = _EXPECTED.get(kind)
    if expected is None or kind.startswith("too_"):
        expected = (expected or str(error["msg"])).format(**context)
        expected = expected.replace(" 1 entries", " one entry")
        return f"found {shown(error['input'])}, expected {expected}"
    expected = expected.format(**context)
    if kind == "is_instance_of":
        expected = "a list" if expected == "Sequence" else with_article(expected)
    answer = f"found {shown(error['input'])}, expected {expected}"
    better = _better(kind, error["input"], expected)
    return f"{answer}; {better}" if better else answer


def _better(kind: str, value: object, expected: str) -> str | None:
    """Say what to write in place of a value that is nearly right."""
    if kind == "literal_error" and isinstance(value, str):
        names = [part.strip("'") for part in expected.replace(" or ", ", ").split(", ")]
        near = nearest(value, names)
        return f"did you mean {near!r}?" if near else None
    if kind in ("int_type", "float_type") and isinstance(value, str):
        return _number(value, whole=kind == "int_type")
    if kind.startswith("less_than") and expected.endswith(" 1") and isinstance(value, (int, float)):
        return f"write {value / 100:g} for {value:g} %" if 1 < value < 100 else None
    if kind.startswith("bool_") and str(value).lower() in ("yes", "y", "on", "1", "true"):
        return "write true"
    if kind.startswith("bool_") and str(value).lower() in ("no", "n", "off", "0", "false"):
        return "write false"
    return None


_THOUSANDS = re.compile(r"[-+]?\d{1,3}(,\d{3})+")
_DECIMAL = re.compile(r"[-+]?\d+,\d+")


def _number(text: str, *, whole: bool) -> str | None:
    """Say how to write a number that came as a text: in quotes, with commas, in percent."""
    plain_text = text.strip()
    share = plain_text.endswith("%")
    plain_text = plain_text.removesuffix("%").strip()
    if _THOUSANDS.fullmatch(plain_text):
        plain_text = plain_text.replace(",", "")
    elif _DECIMAL.fullmatch(plain_text):
        plain_text = plain_text.replace(",", ".")
    try:
        number = float(plain_text)
    except ValueError:
        return None
    if whole:
        return f"write {int(number)}, without quotes" if number.is_integer() and not share else None
    return f"write {number / 100:g}" if share else f"write {number:g}, without quotes"
