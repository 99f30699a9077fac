"""A raw column read as numbers, as a matrix or as texts, the same way for all callers.

``what`` is always the beginning of a message, e.g. "input 'age': column 'age'". Rows are counted
from 0.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from motet.data.empty import WORDS
from motet.problems import InputError, RowError, shown

Floats = NDArray[np.floating[Any]]

EXACT = 2.0**63
"""Whole floating-point numbers below this have an integer of 64 bits."""


def as_floats(column: pa.ChunkedArray, what: str) -> NDArray[np.float64]:
    """Read numbers, booleans, or texts that spell numbers.

    Args:
        column: A column of N values.
        what: Whose column it is.

    Returns:
        float64 (N,), NaN where missing. Integers beyond 2**53 lose digits.

    Raises:
        InputError: If the column holds something else.
    """
    kind = column.type
    if pa.types.is_null(kind):
        return np.full(len(column), np.nan)
    if pa.types.is_string(kind):
        column = _parsed(column, what)
    elif not is_number(kind) and not pa.types.is_boolean(kind):
        raise InputError(
            f"{what} holds {described(kind)}, expected numbers; turn it into numbers first, or "
            "leave it out"
        )
    values: NDArray[np.float64] = column.cast(pa.float64(), safe=False).to_numpy()
    return values


def as_matrix(column: pa.ChunkedArray, what: str, width: int | None = None) -> Floats:
    """Read a column of lists of numbers, all of one length.

    Args:
        column: A column of N lists.
        what: Whose column it is.
        width: Their required length; if left out, that of the first, or 0 if all are missing.

    Returns:
        float32 (N, width) if the column holds those, else float64; NaN where missing.

    Raises:
        InputError: If the column does not hold lists of numbers.
        RowError: If a list has another length, or contains a text that is not a number.
    """
    if width is not None and column.null_count == len(column):
        return np.full((len(column), width), np.nan)
    if not is_list(column.type):
        raise InputError(
            f"{what} holds {described(column.type)}, expected a list of numbers in every row"
        )
    lists = column.combine_chunks()
    lengths = pc.list_value_length(lists)
    there = lists.is_valid().to_numpy(zero_copy_only=False)
    sizes = lengths.filter(lists.is_valid()).to_numpy(zero_copy_only=False)
    if width is None:
        if not len(sizes):
            return np.empty((len(column), 0))
        width = int(sizes[0])
        if not width:
            raise RowError(f"{what} has an empty list in", there.argmax(), ", expected numbers")
    wrong = np.flatnonzero(sizes != width)
    if len(wrong):
        row = np.flatnonzero(there)[wrong[0]]
        raise RowError(
            f"{what} has a list of {sizes[wrong[0]]} in",
            row,
            f", expected {width} numbers as in the other rows",
        )
    flat = lists.flatten()
    single = pa.types.is_float32(flat.type)
    try:
        values = (
            flat.to_numpy(zero_copy_only=False)
            if single
            else as_floats(pa.chunked_array([flat]), what)
        )
    except RowError as error:  # its row is the place of a number among those of all lists
        raise error.of(np.flatnonzero(there).repeat(width)) from None
    if there.all():
        return values.reshape(len(there), width)
    matrix = np.full((len(there), width), np.nan, np.float32 if single else np.float64)
    matrix[there] = values.reshape(-1, width)
    return matrix


def as_texts(column: pa.ChunkedArray, what: str) -> pa.ChunkedArray:
    """Convert scalars to texts, equal for equal values, whatever type they were stored in.

    The number 3 is "3", as an integer and as 3.0; booleans are "true" and "false".

    Args:
        column: A column of N scalars.
        what: Whose column it is.

    Returns:
        Texts (N,), null where missing.

    Raises:
        InputError: If the column holds lists or other values that are not scalars.
    """
    kind = column.type
    if pa.types.is_string(kind):
        return column
    if pa.types.is_floating(kind):
        whole = pc.and_(pc.equal(pc.floor(column), column), pc.less(pc.abs(column), EXACT))
        integers = pc.if_else(whole, column, pa.scalar(0, kind)).cast(pa.int64(), safe=False)
        return pc.if_else(whole, integers.cast(pa.string()), column.cast(pa.string()))
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp("us", kind.tz), safe=False)
    elif not (
        pa.types.is_integer(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_date(kind)
        or pa.types.is_time(kind)
        or pa.types.is_null(kind)
    ):
        advice = "; decode them first, e.g. bytes.decode()" if pa.types.is_binary(kind) else ""
        raise InputError(
            f"{what} holds {described(kind)}, expected texts, numbers or truth values{advice}"
        )
    return column.cast(pa.string())


def refuse_infinite(values: Floats, what: str) -> None:
    """Check that numbers (N,) or (N, D) are finite or NaN.

    Raises:
        RowError: If some are infinite; the message names the number of rows and the first.
    """
    infinite = np.isinf(values) if values.ndim == 1 else np.isinf(values).any(axis=1)
    if infinite.any():
        raise RowError(
            f"{what} is infinite in {infinite.sum():,} of {len(values):,} rows, first in",
            infinite.argmax(),
            "; write missing values there, or the largest number that can be",
        )


def is_number(kind: pa.DataType) -> bool:
    """Return whether a type holds integers or floating-point numbers."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def is_list(kind: pa.DataType) -> bool:
    """Return whether a type holds lists, of one length or of several."""
    return bool(pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind))


def list_lengths(lists: pa.Array) -> NDArray[np.int64]:
    """Return how many values each list has, (N,), 0 where it is null."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    found: NDArray[np.int64] = lengths.to_numpy(zero_copy_only=False).astype(np.int64)
    return found


def rows_of_values(lists: pa.Array) -> NDArray[np.int64]:
    """Return the row of each value of ``lists.flatten()``, (n,), which leaves out null lists."""
    return np.arange(len(lists), dtype=np.int64).repeat(list_lengths(lists))


def described(kind: pa.DataType) -> str:
    """Return a type in everyday words."""
    kinds = pa.types
    if is_list(kind):
        return f"lists of {described(kind.value_type)}"
    for holds, words in (
        (kinds.is_null(kind), "no values"),
        (kinds.is_string(kind), "texts"),
        (kinds.is_boolean(kind), "truth values"),
        (is_number(kind), "numbers"),
        (kinds.is_date(kind), "dates"),
        (kinds.is_timestamp(kind), "points in time"),
        (kinds.is_time(kind), "times of day"),
        (kinds.is_duration(kind), "durations"),
        (kinds.is_binary(kind) or kinds.is_fixed_size_binary(kind), "bytes"),
        (kinds.is_struct(kind), "nested objects"),
    ):
        if holds:
            return words
    return f"values of the type {kind}"


def _parsed(column: pa.ChunkedArray, what: str) -> pa.ChunkedArray:
    trimmed = pc.utf8_trim_whitespace(column)
    trimmed = pc.if_else(pc.is_in(trimmed, pa.array(WORDS)), pa.scalar(None, pa.string()), trimmed)
    try:
        return trimmed.cast(pa.float64())
    except pa.ArrowInvalid:
        row, text = next(
            (row, text) for row, text in enumerate(trimmed.to_pylist()) if not _spells_number(text)
        )
        raise RowError(
            f"{what} has {shown(text)} in",
            row,
            ", expected a number; correct it, or leave it out; if the column holds texts, they are "
            "categories or classes",
        ) from None


def _spells_number(text: str | None) -> bool:
    try:
        pa.scalar(text, pa.string()).cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True
