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


class TextCells:
    """What must be known of all cells of a column of texts before any can be converted.

    Args:
        is_string: Whether the column is kept as texts.
        is_csv: Whether it is of a CSV file, whose types are inferred.

    Example:
        >>> cells = TextCells()
        >>> for block in (["31", "7"], [" ", "5"]):
        ...     cells.add(pa.chunked_array([block]))
        >>> cells.type, cells.converted(pa.chunked_array([["31", "7"]])).to_pylist()
        (DataType(int64), [31, 7])
    """

    def __init__(self, is_string: bool = False, is_csv: bool = False) -> None:
        self._is_string, self._is_csv = is_string, is_csv
        self._words = self._code = self._some = self._some_in_quotes = False
        self._numbers = True
        self._fitting = {True: list(_NUMBERS), False: list(_OTHERS) if is_csv else []}

    def add(self, column: pa.ChunkedArray) -> None:
        """Take account of some of the cells."""
        if self._some and not (self._numbers or self._fitting[False]):
            return  # texts, whatever the others are
        trimmed = pc.utf8_trim_whitespace(column)
        words = pc.is_in(trimmed, pa.array(WORDS))
        self._words = self._words or _any(words)
        others = trimmed.filter(pc.invert(words))
        self._some = self._some or others.null_count < len(others)
        if self._numbers and pc.all(spells_numbers(others)).as_py() is False:  # None: no others
            self._numbers = False
        if self._numbers:
            self._code = self._code or _any(pc.match_substring_regex(column, _CODE))
            self._fitting[True] = [kind for kind in self._fitting[True] if _fits(others, kind)]
        if self._is_csv:  # the words may be in quotes
            others = trimmed.filter(pc.not_equal(trimmed, ""))
            self._some_in_quotes = self._some_in_quotes or others.null_count < len(others)
            self._fitting[False] = [kind for kind in self._fitting[False] if _fits(others, kind)]

    @property
    def _are_numbers(self) -> bool:
        return self._some and self._numbers

    @property
    def _in_quotes(self) -> bool:
        """Whether words for a missing value are texts, as other texts are."""
        return self._is_csv and not self._are_numbers

    @property
    def type(self) -> pa.DataType:
        """The type of the column once empty cells are null."""
        if not self._words:
            return pa.string()
        if not (self._some_in_quotes if self._in_quotes else self._some):
            return pa.string() if self._is_string else pa.null()
        if self._is_string or (self._are_numbers and not self._is_csv and self._code):
            return pa.string()
        return next(iter(self._fitting[self._are_numbers]), pa.string())

    def converted(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """Return cells of the column with nulls for those that are empty."""
        kind = self.type
        if pa.types.is_null(kind):
            return pa.chunked_array([pa.nulls(len(column))])
        trimmed = pc.utf8_trim_whitespace(column)
        words = pc.equal(trimmed, "") if self._in_quotes else pc.is_in(trimmed, pa.array(WORDS))
        nothing = pa.scalar(None, pa.string())
        if pa.types.is_string(kind) and not _any(words):
            return column
        if pa.types.is_string(kind):
            return pc.if_else(words, nothing, column)
        return pc.if_else(words, nothing, trimmed).cast(kind)


_NUMBERS = (pa.int64(), pa.float64())
_OTHERS = (pa.bool_(), pa.date32(), pa.timestamp("s"), pa.float64())  # that may be infinite


def _emptied(column: pa.ChunkedArray, is_string: bool, is_csv: bool) -> pa.ChunkedArray:
    cells = TextCells(is_string, is_csv)
    cells.add(column)
    return cells.converted(column)


def _fits(texts: pa.ChunkedArray, kind: pa.DataType) -> bool:
    try:
        texts.cast(kind)
    except pa.ArrowInvalid:
        return False
    return True


def _any(truths: pa.ChunkedArray) -> bool:
    return bool(pc.any(truths).as_py())
