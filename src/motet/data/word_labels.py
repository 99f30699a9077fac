"""Which columns hold a label for each word of another column, and so would give answers away."""

import pyarrow as pa
import pyarrow.compute as pc

from motet.data.values import is_list
from motet.tags import Scheme, find_scheme

_ROWS = 200
"""Rows of texts that are looked at for tags."""


def span_tags(column: pa.ChunkedArray) -> Scheme | None:
    """Return the scheme of tags that spell spans; None if a column holds anything else.

    Args:
        column: A column of texts or of lists of texts.

    Returns:
        "bio" or "bioes".

    Example:
        >>> span_tags(pa.chunked_array([[["O", "B-city"], ["O"]]]))
        'bio'
        >>> span_tags(pa.chunked_array([["O B-city", "O"]]))
        'bio'
        >>> span_tags(pa.chunked_array([["B", "S"]]))
    """
    spaced = pa.types.is_string(column.type)
    if spaced:
        column = pc.split_pattern_regex(pc.utf8_trim_whitespace(column[:_ROWS]), r"\s+")
    tags = pc.unique(pc.list_flatten(column).drop_null()).to_pylist()
    scheme = find_scheme(tags)
    # B and S alone may be labels like any other, and so may B and O in texts of one word
    certain = not spaced or any("-" in tag for tag in tags)
    return scheme if scheme != "plain" and "O" in tags and certain else None


def labelled_words(table: pa.Table, name: str) -> str | None:
    """Find the column of words that a column of lists has one text for each of.

    Args:
        table: The rows.
        name: A column of lists of texts.

    Returns:
        Name of the column that has the same number of texts in every row, and the most distinct
        ones; None if there is none that has more of them than ``name``.

    Example:
        >>> rows = {"words": [["to", "Rome"], ["to", "Oslo"]], "kind": [["p", "n"], ["p", "n"]]}
        >>> labelled_words(pa.table(rows), "kind"), labelled_words(pa.table(rows), "words")
        ('words', None)
    """
    lengths = pc.list_value_length(table[name])
    counts = {name: _distinct(table[name])}
    for other in table.column_names:
        if _holds_words(table[other]):
            differ = pc.not_equal(pc.list_value_length(table[other]), lengths)
            if pc.any(differ).as_py() is False:
                counts[other] = _distinct(table[other])
    most = max(counts, key=lambda each: counts[each])
    return None if counts[most] == counts[name] else most


def spaced_words(table: pa.Table, name: str) -> str | None:
    """Find the column of texts that has as many words, at white space, as another has tags.

    Args:
        table: The rows.
        name: A column of texts of tags.

    Returns:
        Name of the first such column, if there is one.

    Example:
        >>> rows = {"words": ["to Rome", "go"], "slots": ["O B-city", "O"]}
        >>> spaced_words(pa.table(rows), "slots")
        'words'
    """
    counts = _count_words(table[name])
    for other in table.column_names:
        column = table[other]
        if other != name and pa.types.is_string(column.type) and not span_tags(column):
            differ = pc.any(pc.not_equal(_count_words(column), counts)).as_py()
            if differ is False:
                return str(other)
    return None


def reason_to_leave_out(table: pa.Table, name: str) -> str | None:
    """Say why a column seems to hold labels of words; None if it does not."""
    column = table[name]
    if not (pa.types.is_string(column.type) or _holds_words(column)):
        return None
    scheme = span_tags(column)
    if scheme:
        return f"{scheme.upper()} tags of words, which may give the answers away"
    words = labelled_words(table, name) if _holds_words(column) else None
    return words and f"a text for each word of {words!r}, as labels are; may give the answers away"


def _count_words(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.count_substring_regex(texts, r"\S+")


def _holds_words(column: pa.ChunkedArray) -> bool:
    return is_list(column.type) and bool(pa.types.is_string(column.type.value_type))


def _distinct(lists: pa.ChunkedArray) -> int:
    return int(pc.count_distinct(pc.list_flatten(lists)).as_py())
