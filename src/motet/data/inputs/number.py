"""A number per row: scaled, with missing values filled and marked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from motet.data.inputs.base import FILLED, Input, Rows, with_indicator
from motet.data.inputs.moments import Moments
from motet.data.inputs.samples import Sample
from motet.data.inputs.scaled import Scaled, needs_sample
from motet.data.inputs.shapes import NumberColumn, TableShape
from motet.data.notes import Notes
from motet.data.selection import column_of
from motet.data.values import as_floats, refuse_infinite
from motet.options import OnlyWith, PositiveInt, checked
from motet.problems import InputError


@dataclass
class _Seen:
    """What was observed of the training rows."""

    moments: Moments | None = None
    sample: Sample = field(default_factory=Sample)
    rows: int = 0
    known: int = 0


@final
class Number(Input):
    """A number per row.

    Integers, booleans and texts that spell numbers are numbers too. A missing value becomes 0 after
    scaling; if there were missing values in training, a further column marks them.

    Args:
        name: The input's name.
        column: Column to read; the input's name if left out.
        scaling: How the network receives it. auto: piecewise for 512 training values or more, with
            a bin for each 32 of them, or for at most 32 different ones; else standard, of the
            logarithm where values span decades. piecewise: its place among knots, which are some of
            the training values; an encoder that knows them spreads it over one column per bin, so
            that the network can bend at every knot. standard: shifted and scaled to mean 0 and
            standard deviation 1. quantile: its rank among the training values as a normal score,
            which removes outliers and skew.
        bins: Maximum number of bins, at most 64 if left out. With auto, it chooses piecewise.
        transform: none: the number itself, which is the default unless scaling is auto. log: the
            number becomes ``sign(x) log(1 + |x| / scale)`` first, whose scale is learned: a tenth
            of the training values other than 0 are smaller in size. auto: if nine tenths of the
            sizes span a factor of 100 and the values are skewed, which a note then reports.

    Raises:
        InputError: If an option is unknown, wrong, or not used by the scaling.

    Example:
        >>> import pyarrow as pa
        >>> age = Number("age", scaling="standard")
        >>> age.observe(pa.table({"age": [20, 40, None]}))
        >>> age.finish()
        >>> age.apply(pa.table({"age": [50, None]}))[0]["numbers"]
        array([[2., 0.],
               [0., 1.]], dtype=float32)
    """

    @checked
    def __init__(
        self,
        name: str,
        *,
        column: str | None = None,
        scaling: Literal["auto", "standard", "quantile", "piecewise"] = "auto",
        bins: Annotated[PositiveInt | None, OnlyWith("scaling", ("piecewise", "auto"))] = None,
        transform: Literal["none", "log", "auto"] | None = None,
    ) -> None:
        self.name = name
        self._column = column or name
        self._scaling: str = scaling
        self._bins, self._transform = bins, transform
        self._scaled = Scaled("standard", {})
        self._missing = False
        self._seen = _Seen()

    def columns(self, available: Sequence[str]) -> tuple[str, ...]:
        return (self._column,)

    def observe(self, rows: Rows) -> None:
        values, seen = self._values(rows), self._seen
        missing = np.isnan(values)
        known = values[~missing]
        if needs_sample(self._scaling, self._transform):
            seen.sample.add(known, seen.rows + np.flatnonzero(~missing))
        else:
            found = Moments.of(known)
            seen.moments = found if seen.moments is None else seen.moments + found
        seen.rows += len(values)
        seen.known += len(known)

    def finish(self) -> None:
        seen, self._seen = self._seen, _Seen()
        if not seen.known:
            raise InputError(
                f"{self._where} has no value in the {seen.rows:,} training rows; remove it"
            )
        values = seen.sample.values() if seen.moments is None else seen.moments
        self._scaled, reason = Scaled.learn(values, self._scaling, self._transform, self._bins)
        self._missing = seen.known < seen.rows
        self.notes = seen.sample.notes(f"input {self.name!r}")
        if reason:
            self.notes += (f"input {self.name!r}: {reason}, so their logarithm is used",)

    def apply(self, rows: Rows) -> tuple[dict[str, Any], Notes]:
        values = self._values(rows)
        scaled = self._scaled.apply(values)
        missing = np.isnan(values)
        columns = {"numbers": with_indicator(scaled, missing if self._missing else None)}
        filled = 0 if self._missing else int(missing.sum())
        return columns, Notes(len(rows), {FILLED: filled})

    def shape(self) -> TableShape:
        column = NumberColumn(self.name, self._scaled.expansion())
        marks = (NumberColumn(f"{self.name}_missing", marks=1),) if self._missing else ()
        return TableShape((column, *marks))

    def declared(self) -> TableShape:
        if self._bins is not None:
            raise InputError(
                "bins are learned from training values and not supported without data; remove "
                "bins, and the number is used as it is",
                option="bins",
                owner=f"input {self.name!r}",
            )
        if self._transform not in (None, "none"):
            raise InputError(
                "its scale is learned from training values and not supported without data; remove "
                "transform, and the number is used as it is",
                option="transform",
                owner=f"input {self.name!r}",
            )
        return TableShape((NumberColumn(self.name),))

    def state(self) -> dict[str, Any]:
        return {"column": self._column, **self._scaled.state(), "missing": self._missing}

    def load(self, state: dict[str, Any]) -> None:
        self._column, self._scaled = state["column"], Scaled.load(state)
        self._missing = state["missing"]

    def _values(self, rows: Rows) -> NDArray[np.float64]:
        values = as_floats(column_of(rows, self._column, f"input {self.name!r}"), self._where)
        refuse_infinite(values, self._where)
        return values

    @property
    def _where(self) -> str:
        return f"column {self._column!r}"
