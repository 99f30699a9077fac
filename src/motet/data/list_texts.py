"""Lists in cells of a CSV file, which has no type for them: how they are written and read.

Values are separated by spaces, "O B-city I-city". A list that would not be read back like that,
because it is empty or a value contains white space, is JSON: "[]", '["very good", "cheap"]'.
"""

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

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


def read(text: str | None) -> list[str | None] | None:
    """Read a cell as a list of texts; null stays null.

    Returns:
        Its values, null where JSON has it.

    Example:
        >>> read("O  B-city"), read('["very good", "cheap"]'), read("[]"), read("[CLS] a")
        (['O', 'B-city'], ['very good', 'cheap'], [], ['[CLS]', 'a'])
    """
    if text is None:
        return None
    found = _of_json(text)
    return list(text.split()) if found is None else found


def read_column(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Read a column of cells as lists of texts, null where null."""
    lists = [read(text) for text in texts.to_pylist()]
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


def split_column(texts: pa.ChunkedArray, separator: str) -> pa.ChunkedArray:
    """Split texts at a separator into lists of texts, null where null."""
    return pc.split_pattern(texts, separator)


def _of_json(text: str) -> list[str | None] | None:
    """Read a list in JSON; None if it is not one."""
    if text.lstrip().startswith("["):
        with suppress(json.JSONDecodeError):
            values = json.loads(text)
            if all(value is None or isinstance(value, (str, int, float)) for value in values):
                return [None if value is None else str(value) for value in values]
    return None
