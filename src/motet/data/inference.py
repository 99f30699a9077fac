"""What kind of input each column seems to be, and why, for configs that leave ``inputs`` out."""

from collections.abc import Collection
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from motet.data.values import as_matrix, described, is_list, is_number
from motet.problems import InputError

_MOST_CATEGORIES = 1000
_MOST_WORDS = 3
_IDENTIFIER_ROWS = 20
"""Rows from which texts that all differ are taken for names of the rows."""


@dataclass(frozen=True)
class Guess:
    """What a column seems to be."""

    column: str
    type: str | None
    """Name of an input; None if the column is better not used."""
    reason: str
    """What was seen, for people to read."""


def infer_inputs(table: pa.Table, exclude: Collection[str] = ()) -> list[Guess]:
    """Guess an input type for every column.

    Args:
        table: The rows.
        exclude: Columns to pass over: targets, the split column.

    Returns:
        One guess per column left, in the table's order.

    Example:
        >>> table = pa.table({"age": [30, 41], "job": ["cook", None], "spend": [1.5, 2.0]})
        >>> for guess in infer_inputs(table, exclude=["spend"]):
        ...     print(f"{guess.column}: {guess.type} ({guess.reason})")
        age: number (2 distinct whole numbers)
        job: category (1 distinct text, 50 % missing)
    """
    names = [name for name in table.column_names if name not in exclude]
    return [Guess(name, *_guess(table[name])) for name in names]


def _guess(column: pa.ChunkedArray) -> tuple[str | None, str]:
    kind, kinds = column.type, pa.types
    if column.null_count == len(column):
        return None, "no values"
    if is_list(kind):
        return _guess_list(column)
    if not (is_number(kind) or kinds.is_boolean(kind) or kinds.is_string(kind)):
        return None, f"{described(kind)}; turn them into numbers or texts to use them"
    distinct = pc.count_distinct(column, mode="only_valid").as_py()
    if distinct == 1 and not column.null_count:
        return None, "the same value in every row"
    missing = _missing(column)
    if kinds.is_string(kind):
        return _guess_text(column, distinct, missing)
    if kinds.is_boolean(kind):
        return "category", f"{_counted(distinct, 'truth value')}{missing}"
    whole = "whole " if kinds.is_integer(kind) else ""
    return "number", f"{_counted(distinct, f'{whole}number')}{missing}"


def _guess_text(column: pa.ChunkedArray, distinct: int, missing: str) -> tuple[str | None, str]:
    seen = f"{_counted(distinct, 'text')}{missing}"
    words = pc.mean(pc.count_substring_regex(column, r"\S+")).as_py()
    if distinct > _MOST_CATEGORIES or words > _MOST_WORDS:
        return None, f"{seen}, {words:.1f} words on average; text is not used yet"
    if distinct == len(column) >= _IDENTIFIER_ROWS:
        return None, f"a different text in each of {distinct:,} rows, as if it named them"
    return "category", seen


def _guess_list(column: pa.ChunkedArray) -> tuple[str | None, str]:
    if not is_number(column.type.value_type):
        return None, f"{described(column.type)}; only lists of numbers can be used"
    try:
        width = as_matrix(column, "the column").shape[1]
    except InputError:
        return None, "lists of numbers of different lengths; only one length can be used"
    return "vector", f"lists of {width:,} numbers{_missing(column)}"


def _counted(count: int, thing: str) -> str:
    return f"{count:,} distinct {thing}{'' if count == 1 else 's'}"


def _missing(column: pa.ChunkedArray) -> str:
    if not column.null_count:
        return ""
    share = 100 * column.null_count / len(column)
    return f", {share:.0f} % missing" if share >= 0.5 else f", {column.null_count:,} missing"
