"""Empty cells: one definition, for files and frames, for guesses and for training.

Null and NaN are empty, and so are texts of white space, and the words for a missing value in most
tools: NA, N/A, NaN, null and their spellings in Arrow and pandas. In quotes, in a CSV file, such a
word is a text, unless all other texts of the column spell numbers.
"""

from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

WORDS = (*pa.csv.ConvertOptions().null_values, "<NA>")
"""Texts that are empty, also with white space around them; the first is the text of length 0."""

NUMBER = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"
"""Texts that spell a number."""
_CODE = r"^\s*[-+]?0\d"


def without_empty(
    table: pa.Table, strings: Collection[str] = (), *, is_csv: bool = False
) -> pa.Table:
    """Make empty cells of texts null; a column of numbers and empty cells becomes numbers.

    Args:
        table: A table of plain types.
        strings: Columns to keep as texts.
        is_csv: Whether it is a CSV file, whose types are inferred.

    Returns:
        The same rows and columns.

    Example:
        >>> cells = {"age": ["31", " "], "zip": ["007", ""], "job": ["cook", "NA"]}
        >>> without_empty(pa.table(cells)).to_pydict()
        {'age': [31, None], 'zip': ['007', None], 'job': ['cook', None]}
    """
    columns = [
        _emptied(column, name in strings, is_csv) if pa.types.is_string(column.type) else column
        for name, column in zip(table.column_names, table.columns, strict=True)
    ]
    return pa.table(columns, names=table.column_names)


def is_empty(value: object) -> bool:
    """Return whether a text is an empty cell."""
    return isinstance(value, str) and value.strip() in WORDS


def spells_numbers(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return whether each text spells a number; null where there is none."""
    return pc.match_substring_regex(texts, NUMBER)


def _emptied(column: pa.ChunkedArray, is_string: bool, is_csv: bool) -> pa.ChunkedArray:
    trimmed = pc.utf8_trim_whitespace(column)
    words = pc.is_in(trimmed, pa.array(WORDS))
    if not pc.any(words).as_py():
        return column
    nothing = pa.scalar(None, pa.string())
    others = trimmed.filter(pc.invert(words))
    numbers = bool(pc.all(spells_numbers(others)).as_py())
    if is_csv and not numbers:  # the others are in quotes
        words = pc.equal(trimmed, "")
    emptied = pc.if_else(words, nothing, column)
    if emptied.null_count == len(emptied):
        return emptied if is_string else pa.chunked_array([pa.nulls(len(emptied))])
    if is_string:
        return emptied
    return _recognised(emptied, trimmed, numbers, is_csv)


def _recognised(
    emptied: pa.ChunkedArray, trimmed: pa.ChunkedArray, numbers: bool, is_csv: bool
) -> pa.ChunkedArray:
    """Infer the type that texts have without the empty cells among them."""
    if numbers and not is_csv and pc.any(pc.match_substring_regex(emptied, _CODE)).as_py():
        return emptied
    kinds = [pa.int64(), pa.float64()] if numbers else []
    if is_csv and not numbers:
        kinds = [pa.bool_(), pa.date32(), pa.timestamp("s"), pa.float64()]  # that may be infinite
    known = pc.if_else(emptied.is_valid(), trimmed, pa.scalar(None, pa.string()))
    for kind in kinds:
        try:
            return known.cast(kind)
        except pa.ArrowInvalid:
            continue
    return emptied
