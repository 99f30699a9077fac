"""Errors in the user's words: what was found, what was expected, what to type next.

``InputError`` is raised at every public door for wrong input; the command line turns it into one
message and exit code 2.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

from motet.other_names import KEYS, NOTES, Others, plain

_MANY, _SHOWN = 60, 20
"""Known names above which a message has the first ones alone, and how many."""


class InputError(ValueError):
    """Input of the user that cannot be used.

    Args:
        message: What was found, what was expected and what to do.
        option: The option that it is about, which the text begins with; "weight.epochs" is a key of
            an option.
        owner: Whose option or data it is, such as "task 'churn'"; the text begins with it.

    Attributes:
        key: Where in the section of a config that was put to use the option is.
        complete: Whether the key begins at the top of the config.

    Example:
        >>> raise InputError("found 0; expected a number > 0", option="experts", owner="MMoE")
        Traceback (most recent call last):
            ...
        motet.problems.InputError: MMoE: experts: found 0; expected a number > 0
    """

    def __init__(
        self, message: str, *, option: str | None = None, owner: str | None = None
    ) -> None:
        super().__init__(message)
        self.message, self.option, self.owner = message, option, owner
        self.key: tuple[str | int, ...] = () if option is None else tuple(option.split("."))
        self.complete = False

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.owner, self.option, self.message)))


@contextmanager
def about(key: str | int) -> Iterator[None]:
    """Put a key of a config in front of that of an `InputError` that passes."""
    try:
        yield
    except InputError as error:
        if not error.complete:
            error.key = (key, *error.key)
        raise


@contextmanager
def placed(*key: str | int) -> Iterator[None]:
    """Put a key from the top of the config in front of that of an `InputError` that passes."""
    try:
        yield
    except InputError as error:
        if not error.complete:
            error.key, error.complete = (*key, *error.key), True
        raise


@contextmanager
def owned(owner: str) -> Iterator[None]:
    """Name the owner, such as "task 'churn'", in an `InputError` that passes and has none."""
    try:
        yield
    except InputError as error:
        error.owner = error.owner or owner
        raise


class RowError(InputError):
    """One row of a table cannot be used.

    Args:
        before: The message up to "row".
        row: The row, counted from 0; a whole number, also of NumPy.
        after: The message from there on.
        name: What the message calls the row; its number if left out.
        owner: Whose row it is; see `InputError`.
    """

    def __init__(
        self,
        before: str,
        row: Any,
        after: str,
        name: str | None = None,
        *,
        owner: str | None = None,
    ) -> None:
        self.before, self.row, self.after = before, int(row), after
        super().__init__(f"{before} {name or f'row {self.row:,}'}{after}", owner=owner)

    def within(self, batch: str) -> "RowError":
        """Name the batch of the row, as its number in the table is unknown."""
        return RowError(self.before, self.row, f" of {batch}{self.after}", owner=self.owner)

    def of(self, rows: Any) -> "RowError":
        """Number the row as in the table that these rows, (N,), were taken from."""
        return RowError(self.before, rows[self.row], self.after, owner=self.owner)

    def named(self, name: str) -> "RowError":
        """Call the row by another name, such as one with its line in a file."""
        return RowError(self.before, self.row, self.after, name, owner=self.owner)


def nearest(
    name: str, known: Iterable[str], others: Others | None = None, *, alike: float = 0.6
) -> str | None:
    """Return the known name that ``name`` may have meant, if there is one.

    Args:
        name: What was given.
        known: The names that fit.
        others: Other names of the known ones.
        alike: How much a name must look like it, at least; see `difflib`.

    Returns:
        The same name spelt another way, the one that other libraries call so, or one that looks
        alike, in this order.
    """
    names = {plain(each): each for each in reversed([str(each) for each in known])}
    spelt = plain(name)
    if spelt in names:
        return names[spelt]
    for other in (others or {}).get(spelt, ()):
        if other in names.values():
            return other
    near = get_close_matches(spelt, names, n=1, cutoff=alike)
    return names[near[0]] if near else None


def hint(name: str, known: Iterable[str], others: Others | None = None) -> str:
    """Return "did you mean ...?", or the known names if none is near; see `nearest`."""
    names = [str(each) for each in known]
    near = nearest(name, names, others)
    if near is not None:
        return f"did you mean {near!r}?"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _MANY else ""
    shown = names[:_SHOWN] if more else names
    return f"known: {', '.join(shown)}{more}" if names else "none is known"


def option_hint(name: str, known: Iterable[str]) -> str:
    """Return `hint` for the name of an option, by what other libraries call it, too."""
    return NOTES.get(plain(name)) or hint(name, known, KEYS)


def with_article(word: str) -> str:
    """Put "a" or "an" before a word."""
    return f"{'an' if word.lower().startswith((*'aeiou', 'lr_')) else 'a'} {word}"


def reason(error: Exception) -> str:
    """Return the first line of what Python raised, for the end of a message."""
    if isinstance(error, KeyError):
        return f"it has no {error}"
    return (str(error) or type(error).__name__).splitlines()[0].removesuffix(".")


MALFORMED = (
    *(LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError),
    *(RuntimeError, AssertionError),
)
"""What Python and torch raise when the content of a file is not of the form that it should be."""


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
