"""Which type of input each column seems to be, and why."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from motet.data.inference.guesses import (
    NAMES,
    Guess,
    count_distinct,
    counted,
    share_missing,
    spelling_numbers,
)
from motet.data.inference.images import infer_image
from motet.data.row_names import RowName, row_name
from motet.data.row_numbers import FEWEST, row_numbers
from motet.data.selection import listed
from motet.data.time_stamps import as_times
from motet.data.values import as_matrix, described, is_list, is_number
from motet.data.word_labels import reason_to_leave_out
from motet.problems import InputError

_MOST_CATEGORIES = 1000
_MOST_WORDS = 3
_TIME = r"^\s*\d{4}-\d\d-\d\d([T ]\d\d:\d\d\S*)?\s*$"
_TEXTS = 0.5
"""Share of distinct texts above which they are not categories."""


def infer_inputs(
    table: pa.Table,
    exclude: Collection[str] = (),
    train: NDArray[np.int64] | None = None,
    name_row: RowName = row_name,
) -> list[Guess]:
    """Guess an input type for every column.

    Args:
        table: The rows.
        exclude: Columns to skip: targets, the split column.
        train: Numbers of the training rows, which guesses are based on; all rows if left out.
        name_row: Names a row in a reason; see `motet.data.row_names`.

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

    def name_of(place: int) -> str:
        return name_row(place if train is None else int(train[place]))

    def guess(name: str) -> Guess:
        column = table[name] if rows is None else table[name].take(rows)
        image = infer_image(name, column, table.schema)
        return image or Guess(name, *_guess_in(table, name, column, name_of))

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


def _guess_in(
    table: pa.Table, name: str, column: pa.ChunkedArray, name_row: RowName
) -> tuple[str | None, str]:
    """Guess from the training rows of a column, ``column``."""
    whole = table[name]
    if column.null_count == len(column) and whole.null_count < len(whole):
        return None, "no values in the training rows"
    reason = row_numbers(whole) or reason_to_leave_out(table, name)
    return (None, reason) if reason else _guess(column, name_row)


def _guess(column: pa.ChunkedArray, name_row: RowName) -> tuple[str | None, str]:
    kind, kinds = column.type, pa.types
    if column.null_count == len(column):
        return None, "no values"
    if is_list(kind):
        return _guess_list(column)
    in_time = kinds.is_date(kind) or kinds.is_timestamp(kind)
    if not (in_time or is_number(kind) or kinds.is_boolean(kind) or kinds.is_string(kind)):
        return None, f"{described(kind)}; turn them into numbers or texts to use them"
    distinct = count_distinct(column)
    if distinct == 1 and not column.null_count:
        return None, "the same value in every row"
    missing = share_missing(column)
    if in_time:
        return "time", f"{described(kind)}{missing}"
    if kinds.is_string(kind):
        return _guess_text(column, distinct, f"{missing}{spelling_numbers(column, name_row)}")
    if kinds.is_boolean(kind):
        return "category", f"{counted(distinct, 'truth value')}{missing}"
    if kinds.is_floating(kind) and pc.any(pc.is_inf(column)).as_py():
        return "number", "infinite numbers; write missing values there"  # to be refused, not hidden
    whole = "whole " if kinds.is_integer(kind) else ""
    return "number", f"{counted(distinct, f'{whole}number')}{missing}"


def _guess_text(column: pa.ChunkedArray, distinct: int, more: str) -> tuple[str | None, str]:
    if _are_times(column):
        return "time", f"texts, all of which are dates or points in time{more}"
    seen = f"{counted(distinct, 'text')}{more}"
    words = pc.mean(pc.count_substring_regex(column, r"\S+")).as_py()
    if words > _MOST_WORDS:
        return "text", f"{seen}, {words:.1f} words on average"
    rows = len(column) - column.null_count
    if rows >= FEWEST and distinct >= NAMES * rows:
        each = f"a different text in each of {rows:,} rows"
        some = f"{distinct:,} different texts in {rows:,} rows"
        return None, f"{each if distinct == rows else some}, as if it named them{more}"
    many = distinct > _TEXTS * rows and rows >= FEWEST
    if distinct > _MOST_CATEGORIES and not many:
        return "text", f"{seen}; if they are names, use type: category with hash: 10000"
    return "text" if many else "category", seen


def _are_times(column: pa.ChunkedArray) -> bool:
    if not pc.all(pc.match_substring_regex(column, _TIME)).as_py():
        return False
    try:
        as_times(column, "the column", "UTC", None)
    except InputError:
        return False
    return True


def _guess_list(column: pa.ChunkedArray) -> tuple[str | None, str]:
    if pa.types.is_string(column.type.value_type):
        return "text", f"lists of words{share_missing(column)}"
    if not is_number(column.type.value_type):
        return None, f"{described(column.type)}; only lists of numbers or words can be used"
    try:
        matrix = as_matrix(column, "the column")
    except InputError:
        return None, "lists of numbers of different lengths; only one length can be used"
    if np.isinf(matrix).any():
        return "vector", "lists with infinite numbers; write missing values there"
    if np.isnan(matrix).all(axis=0).any():
        return None, "lists of numbers, some of which are missing in every row"
    return "vector", f"lists of {matrix.shape[1]:,} numbers{share_missing(column)}"
