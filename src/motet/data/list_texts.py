"""Lists in cells of a CSV file, which has no type for them: how they are written and read.

Values are separated by spaces, "O B-city I-city", or by what an option says. A list that would not
be read back like that, because it is empty or a value contains white space, is JSON: "[]",
'["very good", "cheap"]'.
"""

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from motet.data.values import is_list
from motet.problems import InputError

SEPARATORS = (",", ";", "|")
"""What values of a text may be between, other than spaces."""
SEPARATED = 0.1
"""Share of texts with a separator from which it separates values."""


def written(values: Sequence[Any] | None) -> str | None:
    """Write a list of texts or numbers, or null, as a cell.

    Returns:
        The text of the cell.

    Example:
        >>> written(["O", "B-city"]), written(["very good", "cheap"]), written([])
        ('O B-city', '["very good", "cheap"]', '[]')
    """
    if values is None:
        return None
    text = " ".join(map(str, values))
    whole = text.split() == [str(value) for value in values]
    if whole and text and read(text) == text.split():
        return text
    return json.dumps(list(values), ensure_ascii=False)


def read(text: str | None, separator: str | None = None) -> list[str | None] | None:
    """Read a cell as a list of texts; null stays null.

    Args:
        text: The cell: a list in JSON, or values between separators.
        separator: What is between values; white space around them is removed, and empty ones are
            left out. White space itself if left out.

    Returns:
        Its values, null where JSON has it.

    Example:
        >>> read("O  B-city"), read('["very good", "cheap"]'), read("[]"), read("[CLS] a")
        (['O', 'B-city'], ['very good', 'cheap'], [], ['[CLS]', 'a'])
        >>> read("[1, 0.5, true, null]")
        ['1', '0.5', 'true', None]
        >>> read("very good, cheap,", ",")
        ['very good', 'cheap']
    """
    if text is None:
        return None
    found = _of_json(text)
    if found is not None:
        return found
    if separator is None:
        return list(text.split())
    return [value for part in text.split(separator) if (value := part.strip())]


def read_column(texts: pa.ChunkedArray, separator: str | None = None) -> pa.ChunkedArray:
    """Read a column of cells as lists of texts, null where null."""
    lists = [read(text, separator) for text in texts.to_pylist()]
    return pa.chunked_array([pa.array(lists, pa.list_(pa.string()))])


def holds_json(texts: pa.ChunkedArray) -> bool:
    """Return whether a tenth of texts, or more, are lists in JSON.

    Example:
        >>> holds_json(pa.chunked_array([['["very good", "cheap"]', "cheap"]]))
        True
    """
    begun = texts.filter(pc.starts_with(pc.utf8_ltrim_whitespace(texts), "["))
    if len(begun) < SEPARATED * len(texts):
        return False
    lists = sum(_of_json(text) is not None for text in begun.to_pylist())
    return 0 < lists >= SEPARATED * len(texts)


def separators_in(texts: pa.ChunkedArray, separators: Sequence[str] = SEPARATORS) -> Counter[str]:
    """Count the texts that contain each separator; lists in JSON are left out.

    Returns:
        The separators that occur, with the number of texts.

    Example:
        >>> separators_in(pa.chunked_array([["red, big", "red", '["a", "b"]']]))
        Counter({',': 1})
    """
    plain = texts.filter(pc.invert(pc.starts_with(pc.utf8_ltrim_whitespace(texts), "[")))
    counts = {each: pc.sum(pc.match_substring(plain, each)).as_py() for each in separators}
    return Counter({each: count for each, count in counts.items() if count})


def separator_of(texts: pa.ChunkedArray) -> str | None:
    """Return the separator that most texts contain, a tenth at least; None if there is none."""
    found = separators_in(texts).most_common(1)
    return found[0][0] if found and found[0][1] >= SEPARATED * len(texts) else None


class SeparatorCheck:
    """Whether texts have the separator that they should: counted as rows come, then checked.

    Args:
        separator: The one that was given; None if none was, so that texts are split at white space.
        owner: Whose option it is.

    Raises:
        InputError: If the separator is empty.
    """

    def __init__(self, separator: str | None, owner: str) -> None:
        if separator == "":
            raise InputError(
                "found an empty text; expected what separates values, such as ','",
                option="separator",
                owner=owner,
            )
        self._separator = separator
        self._texts = 0
        self._found: Counter[str] = Counter()

    def add(self, column: pa.ChunkedArray, where: str) -> None:
        """Count the separators in a column; ``where`` names it.

        Raises:
            InputError: If the column holds lists, and a separator was given.
        """
        if is_list(column.type) and self._separator is not None:
            raise InputError(
                f"found {self._separator!r}, but {where} holds lists; remove it",
                option="separator",
            )
        if pa.types.is_string(column.type):
            texts = column.drop_null()
            self._texts += len(texts)
            known = SEPARATORS if self._separator is None else (self._separator,)
            self._found += separators_in(texts, known)

    def note(self, where: str) -> str | None:
        """Return what to note of the texts that were added, if anything.

        Raises:
            InputError: If no separator was given, and a tenth of the texts contain one.
        """
        if self._separator is None:
            for found, count in self._found.most_common(1):
                if count >= SEPARATED * self._texts:
                    raise InputError(
                        f"found none, so that texts are split at white space, but {count:,} of "
                        f"{self._texts:,} texts in {where} contain {found!r}; give separator: "
                        f"{found!r}, or separator: ' ' where that belongs to the values",
                        option="separator",
                    )
        elif self._texts and not self._found[self._separator]:
            return (
                f"no training row contains the separator {self._separator!r}, so each text is one "
                "value"
            )
        return None


def _of_json(text: str) -> list[str | None] | None:
    """Read a list in JSON; None if it is not one."""
    if text.lstrip().startswith("["):
        with suppress(json.JSONDecodeError, RecursionError):
            values = json.loads(text)
            if all(value is None or isinstance(value, (str, int, float)) for value in values):
                return [_as_text(value) for value in values]
    return None


def _as_text(value: str | float | None) -> str | None:
    """Return a value of a list in JSON as a text; truth values as JSON spells them."""
    return json.dumps(value) if isinstance(value, bool) else None if value is None else str(value)
