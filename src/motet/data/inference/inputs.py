"""Which type of input each column seems to be, and why."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from motet.data.inference.guesses import (
    NAMED_SO,
    NAMES,
    Guess,
    are_whole,
    count_distinct,
    distinct_things,
    share_missing,
    spelling_numbers,
)
from motet.data.inference.images import infer_image
from motet.data.inference.sets import infer_set
from motet.data.row_names import RowName, row_name
from motet.data.row_numbers import FEWEST, row_numbers
from motet.data.selection import listed
from motet.data.time_stamps import as_times
from motet.data.values import as_matrix, described, is_list, is_number
from motet.data.word_labels import labelled_words, numbered_text, reason_to_leave_out
from motet.problems import InputError

_MOST_CATEGORIES = 1000
_MOST_LISTED = 100_000
"""Categories up to which each has an index of its own; more are hashed."""
_MOST_OF_A_SAMPLE = 10_000
"""The same, of a sample of the rows."""
_HASHING = {"hash": 100_000, "hashes": 2}
_MOST_WORDS = 3
_MOST_WORDS_OF_A_NAME = 1.5
"""Average number of words up to which more than 1,000 texts that repeat are names of things."""
_TIME = r"^\s*\d{4}-\d\d-\d\d([T ]\d\d:\d\d\S*)?\s*$"
_TEXTS = 0.5
"""Share of distinct texts above which they are not categories."""
_UNEVEN = (
    "lists of numbers of different lengths; only one length can be used, or few whole numbers "
    "that repeat, as a set"
)


def infer_inputs(
    table: pa.Table,
    exclude: Collection[str] = (),
    train: NDArray[np.int64] | None = None,
    name_row: RowName = row_name,
    *,
    sampled: bool = False,
) -> list[Guess]:
    """Guess an input type for every column.

    Args:
        table: The rows.
        exclude: Columns to skip: targets, the split column.
        train: Numbers of the training rows, which guesses are based on; all rows if left out.
        name_row: Names a row in a reason; see `motet.data.row_names`.
        sampled: Whether the table is a sample of more rows, which have more categories.

    Returns:
        One guess for each other column, in the table's order.

    Example:
        >>> table = pa.table({"age": [30, 41], "job": ["cook", None], "spend": [1.5, 2.0]})
        >>> for guess in infer_inputs(table, exclude=["spend"]):
        ...     print(f"{guess.column}: {guess.type} ({guess.reason})")
        age: number (2 distinct whole numbers)
        job: category (1 distinct text, 50 % missing)
    """
    excluded = set(exclude)
    names = [name for name in table.column_names if name not in excluded]
    rows = None if train is None else pa.array(train)
    labelled = {words for name in excluded if (words := _words_with_labels(table, name))}
    most = _MOST_OF_A_SAMPLE if sampled else _MOST_LISTED

    def name_of(place: int) -> str:
        return name_row(place if train is None else int(train[place]))

    def guess(name: str) -> Guess:
        column = table[name] if rows is None else table[name].take(rows)
        if name in labelled:
            return Guess(name, "text", f"words, each with a label{share_missing(column)}")
        found = infer_image(name, column, table.schema)
        found = found or _guess_in(table, name, column, name_of)
        many = found.type == "category" and not pa.types.is_boolean(column.type)
        return _hashed(found, count_distinct(column), most) if many else found

    return [guess(name) for name in names]


def usable(guesses: Sequence[Guess]) -> dict[str, Any]:
    """Return the type of each column that can be an input, and the options that it needs.

    Args:
        guesses: What `infer_inputs` found.

    Returns:
        Types by column, of some a mapping with options.

    Raises:
        InputError: If no column can be one.
    """
    found = {
        guess.column: {"type": guess.type, **guess.options} if guess.options else guess.type
        for guess in guesses
        if guess.type is not None
    }
    if not found:
        seen = listed(f"{guess.column}: {guess.reason}" for guess in guesses)
        raise InputError(
            "expected at least one column that the model can see, besides targets and the split, "
            f"found {seen or 'no other column'}"
        )
    return found


def _words_with_labels(table: pa.Table, name: str) -> str | None:
    """Name the column of words that a column, such as a target, has one label for each of."""
    if name not in table.column_names:
        return None
    kind = table[name].type
    if pa.types.is_string(kind) or (is_list(kind) and pa.types.is_string(kind.value_type)):
        return labelled_words(table, name)
    return numbered_text(table, name)


def _hashed(guess: Guess, distinct: int, most: int) -> Guess:
    """Hash categories that are too many for a list."""
    if distinct <= most:
        return guess
    return Guess(guess.column, guess.type, f"{guess.reason}; hashed, as they are many", _HASHING)


def _guess_in(table: pa.Table, name: str, column: pa.ChunkedArray, name_row: RowName) -> Guess:
    """Guess from the training rows of a column, ``column``."""
    whole = table[name]
    if column.null_count == len(column) and whole.null_count < len(whole):
        return Guess(name, None, "no values in the training rows")
    reason = row_numbers(whole) or reason_to_leave_out(table, name)
    return Guess(name, None, reason) if reason else _guess(name, column, name_row)


def _guess(name: str, column: pa.ChunkedArray, name_row: RowName) -> Guess:
    kind, kinds = column.type, pa.types
    if column.null_count == len(column):
        return Guess(name, None, "no values")
    if is_list(kind):
        return _guess_list(name, column)
    in_time = kinds.is_date(kind) or kinds.is_timestamp(kind)
    if not (in_time or is_number(kind) or kinds.is_boolean(kind) or kinds.is_string(kind)):
        return Guess(name, None, f"{described(kind)}; turn them into numbers or texts to use them")
    distinct = count_distinct(column)
    if distinct == 1 and not column.null_count:
        return Guess(name, None, "the same value in every row")
    missing = share_missing(column)
    if in_time:
        return Guess(name, "time", f"{described(kind)}{missing}")
    if kinds.is_string(kind):
        spelling = spelling_numbers(column, name_row)
        return infer_set(name, column) or _guess_text(name, column, distinct, missing + spelling)
    if kinds.is_boolean(kind):
        return Guess(name, "category", f"{distinct_things(distinct, 'truth value')}{missing}")
    if kinds.is_floating(kind) and pc.any(pc.is_inf(column)).as_py():
        # to be refused, not hidden
        return Guess(name, "number", "infinite numbers; write missing values there")
    if kinds.is_integer(kind) and NAMED_SO.search(name):
        return _guess_identifier(name, column, distinct, missing)
    whole = "whole " if kinds.is_integer(kind) else ""
    return Guess(name, "number", f"{distinct_things(distinct, f'{whole}number')}{missing}")


def _guess_identifier(name: str, column: pa.ChunkedArray, distinct: int, missing: str) -> Guess:
    rows = len(column) - column.null_count
    if rows >= FEWEST and distinct >= NAMES * rows:
        return Guess(name, None, f"{_different(distinct, rows, 'number')}{missing}")
    seen = f"{distinct_things(distinct, 'whole number')} that name things{missing}"
    return Guess(name, "category", f"{seen}; if they are amounts: number")


def _guess_text(name: str, column: pa.ChunkedArray, distinct: int, more: str) -> Guess:
    if _are_times(column):
        return Guess(name, "time", f"texts, all of which are dates or points in time{more}")
    seen = f"{distinct_things(distinct, 'text')}{more}"
    words = pc.mean(pc.count_substring_regex(column, r"\S+")).as_py()
    if words > _MOST_WORDS:
        return Guess(name, "text", f"{seen}, {words:.1f} words on average")
    rows = len(column) - column.null_count
    if rows >= FEWEST and distinct >= NAMES * rows:
        return Guess(name, None, f"{_different(distinct, rows, 'text')}{more}")
    if distinct > _TEXTS * rows and rows >= FEWEST:
        return Guess(name, "text", seen)
    if distinct > _MOST_CATEGORIES and words > _MOST_WORDS_OF_A_NAME:
        return Guess(name, "text", f"{seen}; if they are names: category")
    return Guess(name, "category", seen)


def _different(distinct: int, rows: int, what: str) -> str:
    each = f"a different {what} in each of {rows:,} rows"
    some = f"{distinct:,} different {what}s in {rows:,} rows"
    return f"{each if distinct == rows else some}, as if it named them"


def _are_times(column: pa.ChunkedArray) -> bool:
    if not pc.all(pc.match_substring_regex(column, _TIME)).as_py():
        return False
    try:
        as_times(column, "the column", "UTC", None)
    except InputError:
        return False
    return True


def _guess_list(name: str, column: pa.ChunkedArray) -> Guess:
    missing = share_missing(column)
    if pa.types.is_string(column.type.value_type):
        text = Guess(name, "text", f"lists of words{missing}; if their order does not count: set")
        return infer_set(name, column) or text
    if not is_number(column.type.value_type):
        return Guess(
            name, None, f"{described(column.type)}; only lists of numbers or words can be used"
        )
    try:
        matrix = as_matrix(column, "the column")
    except InputError:
        found = infer_set(name, column) if are_whole(pc.list_flatten(column)) else None
        return found or Guess(name, None, _UNEVEN)
    if np.isinf(matrix).any():
        return Guess(name, "vector", "lists with infinite numbers; write missing values there")
    if np.isnan(matrix).all(axis=0).any():
        return Guess(name, None, "lists of numbers, some of which are missing in every row")
    return Guess(name, "vector", f"lists of {matrix.shape[1]:,} numbers{missing}")
