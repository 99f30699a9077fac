"""Splits in the order of time: the latest rows are the test split, those before them validation."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from motet.data.selection import require_columns
from motet.data.splits.base import Fractions, Splits
from motet.data.values import as_floats, described, is_number
from motet.figures import counted
from motet.problems import InputError, RowError, shown


def by_time(table: pa.Table, column: str, fractions: Fractions) -> Splits:
    """Split rows by time; rows of one time are in one split.

    Args:
        table: All rows.
        column: Column with the time of each row: dates, points in time, numbers, or texts such as
            2026-01-31 and 2026-01-31 12:00:00.
        fractions: Shares of the splits, held as well as equal times allow.

    Returns:
        The splits, with a note of when each begins.

    Raises:
        InputError: If the column does not hold times, or there are fewer different ones than
            splits.
        RowError: If a row has none.
    """
    require_columns(table, [column], "split", "time")
    times = _times(table[column], f"split: time: column {column!r}")
    distinct, codes, counts = np.unique(times, return_inverse=True, return_counts=True)
    shares = fractions.shares
    if len(distinct) < len(shares):
        raise InputError(
            f"column {column!r} has {counted(len(distinct), 'different time')}; "
            f"expected at least {len(shares)}, one for each "
            "split",
            option="time",
        )
    before = np.cumsum(counts)[:-1] / len(times)  # share of the rows before each later time
    starts: list[int] = []
    for place, asked in enumerate(np.cumsum(shares)[:-1]):
        first, end = (starts[-1] + 1 if starts else 1), len(distinct) - (len(shares) - 2 - place)
        starts.append(first + int(np.abs(before[first - 1 : end - 1] - asked).argmin()))
    first_rows = [int(np.argmax(codes == start)) for start in starts]
    begins = [str(table[column][row]) for row in first_rows]
    names = ("validation", "test")[: len(begins)]
    note = ", ".join(f"{name} from {begin}" for name, begin in zip(names, begins, strict=True))
    places = [(codes >= start).astype(np.int64) for start in starts]
    return Splits.of(np.sum(places, axis=0), [f"column {column!r}: {note} on"])


def _times(column: pa.ChunkedArray, what: str) -> NDArray[np.generic]:
    kind = column.type
    if column.null_count:
        raise RowError(
            f"{what} has no value in {column.null_count:,} of {len(column):,} rows, first in",
            int(np.argmax(column.is_null().to_numpy(zero_copy_only=False))),
            "; expected a time in every row; fill or remove these rows",
        )
    if is_number(kind):
        return as_floats(column, what)
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return _ticks(column)
    if not pa.types.is_string(kind):
        raise InputError(f"{what} holds {described(kind)}, expected dates, times or numbers")
    for zone in (None, "UTC"):
        try:
            return _ticks(column.cast(pa.timestamp("us", zone)))
        except pa.ArrowInvalid:
            continue
    texts = column.to_pylist()
    zone = None if _is_time(texts[0], None) else "UTC"
    row = next(row for row, text in enumerate(texts) if not _is_time(text, zone))
    mixed = _is_time(texts[row], "UTC" if zone is None else None)
    expected = "a time such as 2026-01-31 or 2026-01-31 12:00:00; or numbers"
    raise RowError(
        f"{what} has {shown(texts[row])} in",
        row,
        f", expected {'a time zone in all rows or in none' if mixed else expected}",
    )


def _ticks(column: pa.ChunkedArray) -> NDArray[np.generic]:
    stamps = column.cast(pa.timestamp("us"), safe=False)  # nanoseconds are cut off
    ticks: NDArray[np.generic] = stamps.cast(pa.int64()).to_numpy()
    return ticks


def _is_time(text: str, zone: str | None) -> bool:
    try:
        pa.scalar(text).cast(pa.timestamp("us", zone))
    except pa.ArrowInvalid:
        return False
    return True
