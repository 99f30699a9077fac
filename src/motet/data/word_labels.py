"""Finds columns that hold a label for each word of another column, and so would leak answers."""

import pyarrow as pa
import pyarrow.compute as pc

from motet.data.row_numbers import FEWEST
from motet.data.values import is_list, is_number
from motet.tags import Scheme, find_scheme

_ROWS = 200
"""Rows of texts that are searched for tags, and compared first for lengths."""
_LENGTHS = 3
"""Number of distinct lengths from which on two columns do not have equal lengths by chance."""

_AS_LABELS = "as labels are; may give the answers away"


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
        column = _split(column[:_ROWS])
    tags = pc.unique(pc.list_flatten(column).drop_null()).to_pylist()
    scheme = find_scheme(tags)
    # B and S alone may be labels like any other, and so may B and O in texts of one word
    certain = not spaced or any("-" in tag for tag in tags)
    return scheme if scheme != "plain" and "O" in tags and certain else None


def labelled_words(table: pa.Table, name: str) -> str | None:
    """Find the column of words that a column of lists has one text for each of.

    Texts count as lists of words, separated by white space. Unless they are tags of spans, they
    must be 20 or more, of three lengths at least: texts of one word are not labels of each other.

    Args:
        table: The rows.
        name: A column of texts or of lists of texts.

    Returns:
        Name of the column of that type that has the same number of words in every row, and the most
        distinct ones; None if there is none that has more of them than ``name``.

    Example:
        >>> rows = {"words": [["to", "Rome"], ["to", "Oslo"]], "kind": [["p", "n"], ["p", "n"]]}
        >>> labelled_words(pa.table(rows), "kind"), labelled_words(pa.table(rows), "words")
        ('words', None)
        >>> rows = {"words": ["to Rome", "go"], "slots": ["O B-city", "O"]}
        >>> labelled_words(pa.table(rows), "slots")
        'words'
    """
    column = table[name]
    lengths = _lengths(column)
    if not is_list(column.type) and not span_tags(column):
        sizes = lengths.drop_null()
        if len(sizes) < FEWEST or len(sizes.unique()) < _LENGTHS:
            return None
    counts = {name: _distinct(column)}
    for other in table.column_names:
        words = table[other]
        some = words[:_ROWS]  # compared first, as most columns differ there
        if words.type == column.type and _align(some, lengths[:_ROWS]) and _align(words, lengths):
            counts[other] = _distinct(words)
    most = max(counts, key=lambda each: counts[each])
    return None if counts[most] == counts[name] else most


def numbered_text(table: pa.Table, name: str) -> str | None:
    """Find the column of words that a column of lists has one number for each of.

    Args:
        table: The rows.
        name: A column.

    Returns:
        Name of the column of lists of texts, or of texts of words separated by white space; None if
        ``name`` does not hold lists of numbers, of three lengths at least, or no column fits.

    Example:
        >>> times = [[0.2, 0.5], [0.1], [0.3, 0.3, 0.4]]
        >>> numbered_text(pa.table({"words": ["to Rome", "go", "a b c"], "times": times}), "times")
        'words'
    """
    column = table[name]
    if not is_list(column.type) or not is_number(column.type.value_type):
        return None
    lengths = pc.list_value_length(column)
    if len(lengths.drop_null().unique()) < _LENGTHS:
        return None
    for other in table.column_names:
        words = table[other]
        spelt = pa.types.is_string(words.type) or _holds_words(words)
        if spelt and _align(words[:_ROWS], lengths[:_ROWS]) and _align(words, lengths):
            return str(other)
    return None


def reason_to_leave_out(table: pa.Table, name: str) -> str | None:
    """Explain why a column seems to hold word labels; None if it does not."""
    column = table[name]
    if not (pa.types.is_string(column.type) or _holds_words(column)):
        words = numbered_text(table, name)
        return words and f"a number for each word of {words!r}, {_AS_LABELS}"
    scheme = span_tags(column)
    if scheme:
        return f"{scheme.upper()} tags of words, which may give the answers away"
    words = labelled_words(table, name)
    return words and f"a text for each word of {words!r}, {_AS_LABELS}"


def _align(words: pa.ChunkedArray, lengths: pa.ChunkedArray) -> bool:
    return pc.any(pc.not_equal(_lengths(words), lengths)).as_py() is False


def _lengths(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if is_list(column.type):
        return pc.list_value_length(column)
    return pc.count_substring_regex(column, r"\S+")


def _holds_words(column: pa.ChunkedArray) -> bool:
    return is_list(column.type) and bool(pa.types.is_string(column.type.value_type))


def _distinct(column: pa.ChunkedArray) -> int:
    lists = column if is_list(column.type) else _split(column)
    return int(pc.count_distinct(pc.list_flatten(lists)).as_py())


def _split(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.split_pattern_regex(pc.utf8_trim_whitespace(texts), r"\s+")
