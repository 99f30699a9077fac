"""A point in time per row: where it is in the day, the week and the year, and how late it is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from motet.data.inputs.base import Input, Rows, with_indicator
from motet.data.inputs.samples import Sample
from motet.data.inputs.scaled import Scaled
from motet.data.inputs.shapes import NumberColumn, TableShape
from motet.data.notes import Finding, Notes
from motet.data.selection import column_of, require_columns
from motet.data.time_stamps import DAY, Times, as_times, check_zone
from motet.data.values import is_number
from motet.options import checked
from motet.problems import InputError

_USUAL = ("hour", "weekday", "year_day", "trend")
_FILLED = Finding("lack a time, which no training row did; zeros are used")
_OUTSIDE = Finding(
    "are earlier or later than all training rows; their trend is that of the nearest one"
)


@dataclass
class _Seen:
    """What was observed of the training rows."""

    rows: int = 0
    known: int = 0
    first: float = math.inf
    last: float = -math.inf
    at_midnight: bool = True
    gaps: dict[str, Sample] = field(default_factory=dict)
    numbers: set[str] = field(default_factory=set)
    """Columns that hold numbers, which need a unit."""


@final
class Time(Input):
    """A point in time per row: a date, a date and time, an ISO 8601 text, or a count of units.

    Each part that recurs becomes its sine and cosine, so that 23:59 is next to 0:00; the trend is
    the time itself, from -1 at the first training row to 1 at the last, and held there beyond
    them, as a network cannot know what comes later. Gaps are numbers of days since other times,
    negative if these are later, scaled piecewise as numbers are. A missing time becomes zeros; if
    there were some in training, a further column marks them, and so for gaps.

    Args:
        name: The input's name.
        column: Column to read; the input's name if left out.
        unit: What numbers count, since 1970 in UTC: d (days), s, ms, us or ns.
        zone: Time zone of the parts, such as Europe/Berlin, and of times that name none.
        parts: hour (of the day), weekday, month_day, year_day, month, trend. Left out: hour, unless
            all training rows are at midnight as dates are, weekday, year_day and trend.
        gaps: Other columns of times, to read the time since each of them.
        gap_unit: Unit of numbers in these columns; ``unit`` if left out.

    Raises:
        InputError: If an option is unknown or wrong.

    Example:
        >>> import pyarrow as pa
        >>> date = Time("date", parts=["weekday", "trend"])
        >>> date.observe(pa.table({"date": ["2026-01-01", "2026-01-05"]}))  # Thursday, Monday
        >>> date.finish()
        >>> date.apply(pa.table({"date": ["2026-01-05", "2026-01-12"]}))[0]["numbers"]
        array([[0., 1., 1.],
               [0., 1., 1.]], dtype=float32)
        >>> date.shape().names
        ('date_weekday_sin', 'date_weekday_cos', 'date_trend')
    """

    @checked
    def __init__(
        self,
        name: str,
        *,
        column: str | None = None,
        unit: Literal["d", "s", "ms", "us", "ns"] | None = None,
        zone: str = "UTC",
        parts: Sequence[Literal["hour", "weekday", "month_day", "year_day", "month", "trend"]]
        | None = None,
        gaps: str | Sequence[str] = (),
        gap_unit: Literal["d", "s", "ms", "us", "ns"] | None = None,
    ) -> None:
        self.name = name
        self._column = column or name
        self._unit: Any = unit
        self._zone = check_zone(zone)
        if parts is not None and (not parts or len(set(parts)) < len(parts)):
            raise InputError(
                f"found {list(parts)}, expected some parts, each once",
                option="parts",
                owner=f"input {name!r}",
            )
        self._wanted = parts
        self._parts: tuple[str, ...] = tuple(parts or ())
        self._gap_columns = (gaps,) if isinstance(gaps, str) else tuple(gaps)
        if len(set(self._gap_columns)) < len(self._gap_columns):
            raise InputError(
                f"found {list(self._gap_columns)}, expected columns, each once",
                option="gaps",
                owner=f"input {name!r}",
            )
        if gap_unit is not None and not self._gap_columns:
            raise InputError(
                "applies only with gaps; remove it", option="gap_unit", owner=f"input {name!r}"
            )
        if self._column in self._gap_columns:
            raise InputError(
                f"found {self._column!r}, the time itself; expected other columns of times",
                option="gaps",
                owner=f"input {name!r}",
            )
        self._gap_unit: Any = gap_unit or unit
        self._units_given = {"unit": unit, "gap_unit": gap_unit}
        self._missing = False
        self._first, self._last = 0.0, 0.0
        self._gaps: dict[str, dict[str, Any]] = {}
        self._seen = _Seen()

    def columns(self, available: Sequence[str]) -> tuple[str, ...]:
        return (self._column, *self._gap_columns)

    def observe(self, rows: Rows) -> None:
        times, seen = self._times(rows, self._column), self._seen
        known = ~np.isnan(times.moments)
        seen.first = min(seen.first, times.moments[known].min(initial=math.inf))
        seen.last = max(seen.last, times.moments[known].max(initial=-math.inf))
        seen.at_midnight &= not _of_day(times.local[known]).any()
        for name, gap in self._gaps_of(rows, times):
            there = ~np.isnan(gap)
            sample = seen.gaps.setdefault(name, Sample())
            sample.add(gap[there], seen.rows + np.flatnonzero(there))
        seen.rows += len(known)
        seen.known += int(known.sum())
        seen.numbers |= {each for each in self.columns(()) if is_number(rows[each].type)}

    def finish(self) -> None:
        seen, self._seen = self._seen, _Seen()
        if not seen.known:
            raise InputError(
                f"{self._where(self._column)} has no value in the {seen.rows:,} training rows; "
                "remove it"
            )
        self._check_units(seen.numbers)
        if self._wanted is None:
            self._parts = _USUAL[1:] if seen.at_midnight else _USUAL
        self._missing = seen.known < seen.rows
        self._first, self._last = seen.first, seen.last
        self._gaps, self.notes = {}, ()
        for name in self._gap_columns:
            sample = seen.gaps[name]
            if not sample.added:
                raise InputError(
                    f"{self._where(name)} has no value in a training row with a time, so that no "
                    "gap is known; remove it",
                    option="gaps",
                )
            scaled, _ = Scaled.learn(sample.values(), "piecewise", "none", None)
            missing = sample.added < seen.rows
            self._gaps[name] = {**scaled.state(), "missing": missing}
            self.notes += sample.notes(f"input {self.name!r}")

    def apply(self, rows: Rows) -> tuple[dict[str, Any], Notes]:
        times = self._times(rows, self._column)
        missing = np.isnan(times.moments)
        columns = [_cyclic(part, times.local) for part in self._parts if part != "trend"]
        outside = 0
        if "trend" in self._parts:
            held = np.clip(times.moments, self._first, self._last)
            outside = int(((held != times.moments) & ~missing).sum())
            middle, half = (self._first + self._last) / 2, (self._last - self._first) / 2 or 1.0
            columns.insert(self._parts.index("trend"), ((held - middle) / half)[:, None])
        found = [with_indicator(np.concatenate(columns, 1), missing if self._missing else None)]
        filled = 0 if self._missing else int(missing.sum())
        for name, gap in self._gaps_of(rows, times):
            learned, lacking = self._gaps[name], np.isnan(gap)
            scaled = Scaled.load(learned).apply(gap)
            found.append(with_indicator(scaled, lacking if learned["missing"] else None))
            if not learned["missing"]:
                filled = max(filled, int(lacking.sum()))
        numbers = np.concatenate(found, axis=1)
        return {"numbers": numbers}, Notes(len(rows), {_FILLED: filled, _OUTSIDE: outside})

    def shape(self) -> TableShape:
        columns = self._part_columns()
        if self._missing:
            columns.append(NumberColumn(f"{self.name}_missing", marks=len(columns)))
        for name, learned in self._gaps.items():
            own = f"{self.name}_since_{name}"
            columns.append(NumberColumn(own, Scaled.load(learned).expansion()))
            if learned["missing"]:
                columns.append(NumberColumn(f"{own}_missing", marks=1))
        return TableShape(tuple(columns))

    def declared(self) -> TableShape:
        if self._wanted is None:
            raise InputError(
                "which parts it has is learned from data; give them, for example parts: "
                f"[{', '.join(_USUAL)}]",
                option="parts",
                owner=f"input {self.name!r}",
            )
        gaps = (NumberColumn(f"{self.name}_since_{name}") for name in self._gap_columns)
        return TableShape((*self._part_columns(), *gaps))

    def state(self) -> dict[str, Any]:
        return {
            "column": self._column,
            "unit": self._unit,
            "zone": self._zone,
            "parts": list(self._parts),
            "first": float(self._first),
            "last": float(self._last),
            "missing": self._missing,
            "gap_unit": self._gap_unit,
            "gaps": self._gaps,
        }

    def load(self, state: dict[str, Any]) -> None:
        self._column, self._unit = state["column"], state["unit"]
        self._zone, self._parts = state["zone"], tuple(state["parts"])
        self._first, self._last = state["first"], state["last"]
        self._missing = state["missing"]
        self._gap_unit, self._gaps = state["gap_unit"], dict(state["gaps"])
        self._gap_columns = tuple(self._gaps)

    def _part_columns(self) -> list[NumberColumn]:
        columns = []
        for part in self._parts:
            ends = ("",) if part == "trend" else ("_sin", "_cos")
            columns += [NumberColumn(f"{self.name}_{part}{end}") for end in ends]
        return columns

    def _gaps_of(self, rows: Rows, times: Times) -> list[tuple[str, NDArray[np.float64]]]:
        """Return the days since each other time, (N,), NaN where either is missing."""
        return [
            (name, times.moments - self._times(rows, name).moments) for name in self._gap_columns
        ]

    def _times(self, rows: Rows, column: str) -> Times:
        owner, where = f"input {self.name!r}", self._where(column)
        if column == self._column:
            return as_times(column_of(rows, column, owner), where, self._zone, self._unit)
        require_columns(rows, [column], owner, "gaps")
        found = column_of(rows, column, owner)
        return as_times(found, where, self._zone, self._gap_unit, "gap_unit")

    def _check_units(self, numbers: set[str]) -> None:
        """Refuse a unit that no column of numbers is read in."""
        gaps = set(self._gap_columns)
        reads = {"unit": {self._column}, "gap_unit": gaps}
        if self._units_given["gap_unit"] is None:
            reads["unit"] |= gaps
        for option, columns in reads.items():
            if self._units_given[option] is not None and not columns & numbers:
                names = ", ".join(map(repr, sorted(columns)))
                raise InputError(
                    f"applies only to numbers, of which there are none in {names}; remove it",
                    option=option,
                )

    def _where(self, column: str) -> str:
        return f"column {column!r}"


def _of_day(local: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """Return the microseconds since midnight (N,)."""
    found: NDArray[np.int64] = local.astype(np.int64) % DAY
    return found


def _cyclic(part: str, local: NDArray[np.datetime64]) -> NDArray[np.float64]:
    """Return sine and cosine of where a time is in its cycle, (N, 2), NaN where missing."""
    missing = np.isnat(local)
    local = np.where(missing, np.datetime64(0, "us"), local)
    days, years = local.astype("datetime64[D]"), local.astype("datetime64[Y]")
    months = local.astype("datetime64[M]")
    place: NDArray[np.float64]
    if part == "hour":
        place = _of_day(local) / DAY
    elif part == "weekday":
        place = (days.astype(np.int64) + 3) % 7 / 7  # 1970-01-01 was a Thursday; Monday is 0
    elif part == "month":
        place = months.astype(np.int64) % 12 / 12
    else:
        start, end = (months, months + 1) if part == "month_day" else (years, years + 1)
        first = start.astype("datetime64[D]")
        length = (end.astype("datetime64[D]") - first).astype(np.int64)
        place = (days - first).astype(np.int64) / length
    angle = 2 * np.pi * np.where(missing, np.nan, place)
    return np.stack([np.sin(angle), np.cos(angle)], axis=1)
