"""A column of points in time, read as microseconds, the same way for all formats."""

from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from motet.data.empty import WORDS
from motet.data.values import as_floats, described, is_number, refuse_infinite
from motet.problems import InputError, RowError, shown

Unit = Literal["d", "s", "ms", "us", "ns"]
UNITS = {"d": 86_400_000_000.0, "s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}
"""Microseconds of each unit."""
DAY = 86_400_000_000
_FIRST, _END = np.datetime64("0001-01-01", "us"), np.datetime64("10000-01-01", "us")
_ZONED = r"(Z|[+-]\d{2}(:?\d{2})?)$"
_WITH_TIME = r"\d[T ]\d"


class Times(NamedTuple):
    """N points in time."""

    moments: NDArray[np.float64]
    """Days since 1970 in UTC, (N,), NaN where missing."""
    local: NDArray[np.datetime64]
    """Date and time of the clocks of the zone, (N,), in microseconds; NaT where missing."""


def as_times(
    column: pa.ChunkedArray, what: str, zone: str, unit: Unit | None, option: str = "unit"
) -> Times:
    """Read dates, points in time, ISO 8601 texts, or numbers that count units since 1970.

    Args:
        column: A column of N values.
        what: Whose column it is, to begin messages with.
        zone: A name such as "Europe/Berlin". Values without a zone are read as of its clocks.
        unit: Unit of numbers, which count from 1970 in UTC.
        option: Name of the option that gives the unit.

    Returns:
        The times.

    Raises:
        InputError: If the column holds something else, or numbers without a unit.
        RowError: If a value is no point in time, or outside of the years 1 to 9999.
    """
    kind = column.type
    if pa.types.is_string(kind):
        stamps = _parsed(column, what, zone)
    elif pa.types.is_timestamp(kind):
        stamps = _zoned(column.cast(pa.timestamp("us", kind.tz), safe=False), zone)
    elif pa.types.is_date(kind):
        stamps = _zoned(column.cast(pa.timestamp("us")), zone)
    elif pa.types.is_null(kind):
        stamps = pa.chunked_array([pa.nulls(len(column), pa.timestamp("us", zone))])
    elif is_number(kind):
        stamps = _counted(column, what, zone, unit, option)
    else:
        raise InputError(
            f"{what} holds {described(kind)}, expected dates, points in time, texts such as "
            "2026-01-31 or 2026-01-31T12:00:00Z, or numbers with a unit"
        )
    utc = _moments(stamps)
    local = pc.local_timestamp(stamps).cast(pa.timestamp("us")).to_numpy()
    outside = (local < _FIRST) | (local >= _END)
    if outside.any():
        raise RowError(
            f"{what} is outside of the years 1 to 9999 in",
            outside.argmax(),
            "; correct it, or write a missing value there",
        )
    return Times(utc, local.astype("datetime64[us]"))


def check_zone(zone: str) -> str:
    """Return the name of a time zone.

    Raises:
        InputError: If it is unknown.
    """
    try:
        pc.local_timestamp(pa.scalar(0, pa.timestamp("us", zone)))
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise InputError(
            f"found {zone!r}, expected the name of a time zone, such as UTC or Europe/Berlin "
            f"({error})",
            option="zone",
        ) from None
    return zone


def _moments(stamps: pa.ChunkedArray) -> NDArray[np.float64]:
    counts = stamps.cast(pa.int64())
    found: NDArray[np.float64] = counts.cast(pa.float64(), safe=False).to_numpy() / DAY
    return found


def _zoned(stamps: pa.ChunkedArray, zone: str) -> pa.ChunkedArray:
    """Return points in time (us) in a zone; of those without one, by the clocks of the zone."""
    if stamps.type.tz is not None:
        return stamps.cast(pa.timestamp("us", zone))
    # what clocks show twice, or never, when they are changed is not an error
    return pc.assume_timezone(stamps, zone, ambiguous="earliest", nonexistent="earliest")


def _counted(
    column: pa.ChunkedArray, what: str, zone: str, unit: Unit | None, option: str
) -> pa.ChunkedArray:
    if unit is None:
        raise InputError(
            f"{what} holds numbers; give the unit that they count since 1970, such as {option}: s "
            f"(one of {', '.join(UNITS)})",
            option=option,
        )
    values = as_floats(column, what)
    refuse_infinite(values, what)
    counts = values * UNITS[unit]
    far = np.abs(counts) >= 2.0**62
    if far.any():
        raise RowError(
            f"{what} is outside of the years 1 to 9999 in",
            far.argmax(),
            f", read in the unit {unit}; correct {option}, or the value",
        )
    whole = pa.array(np.where(np.isnan(counts), 0, counts).round().astype(np.int64))
    kept = pc.if_else(pa.array(np.isnan(counts)), pa.scalar(None, pa.int64()), whole)
    return pa.chunked_array([kept.cast(pa.timestamp("us", zone))])


def _parsed(column: pa.ChunkedArray, what: str, zone: str) -> pa.ChunkedArray:
    """Parse texts, of which some may name their zone."""
    texts = pc.utf8_trim_whitespace(column)
    nothing = pa.scalar(None, pa.string())
    texts = pc.if_else(pc.is_in(texts, pa.array(WORDS)), nothing, texts)
    has_zone = pc.and_(
        pc.match_substring_regex(texts, _WITH_TIME), pc.match_substring_regex(texts, _ZONED)
    )
    zoned, naive = pc.if_else(has_zone, texts, nothing), pc.if_else(has_zone, nothing, texts)
    try:
        with_zone = zoned.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us", zone))
        return pc.coalesce(with_zone, _zoned(naive.cast(pa.timestamp("us")), zone))
    except pa.ArrowInvalid:
        row, text = next(
            (row, text) for row, text in enumerate(texts.to_pylist()) if not _is_time(text)
        )
    raise RowError(
        f"{what} has {shown(text)} in",
        row,
        ", expected a date or a point in time as ISO 8601 writes it, such as 2026-01-31 or "
        "2026-01-31T12:00:00+01:00; correct it, or leave it out",
    )


def _is_time(text: str | None) -> bool:
    for kind in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
        try:
            pa.scalar(text, pa.string()).cast(kind)
        except pa.ArrowInvalid:
            continue
        return True
    return False
