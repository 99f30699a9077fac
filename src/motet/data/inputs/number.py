"""A number per row: scaled, with missing values filled and marked."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from motet.data.inputs.base import Declared, Expansion, Input, filled_note, with_indicator
from motet.data.inputs.scaling import SCALINGS
from motet.data.selection import require_columns
from motet.data.values import as_floats, refuse_infinite
from motet.options import OnlyWith, PositiveInt, checked
from motet.problems import InputError

_BINS = 64


@final
class Number(Input):
    """A number per row.

    Integers, truth values and texts that spell numbers are numbers too. A missing value becomes 0
    after scaling; if there were missing values in training, a further column marks them.

    Args:
        name: The input's name.
        column: Column to read; the input's name if left out.
        scaling: How the network sees it. piecewise: its place among knots, some of the training
            values, which an encoder that knows them spreads over a column per bin, so that the
            network can bend at every knot. standard: shifted and divided to mean 0 and standard
            deviation 1. quantile: its rank among the training values as a normal score, so that
            outliers and skew go.
        bins: Most bins of piecewise; 64 if left out.

    Raises:
        InputError: If an option is unknown, wrong, or would be ignored.

    Example:
        >>> age = Number("age", scaling="standard")
        >>> age.fit(pa.table({"age": [20, 40, None]}))
        >>> age.apply(pa.table({"age": [50, None]}))["numbers"]
        array([[2., 0.],
               [0., 1.]], dtype=float32)
    """

    @checked
    def __init__(
        self,
        name: str,
        *,
        column: str | None = None,
        scaling: Literal["standard", "quantile", "piecewise"] = "piecewise",
        bins: Annotated[PositiveInt | None, OnlyWith("scaling", ("piecewise",))] = None,
    ) -> None:
        self.name = name
        self._column = column or name
        self._scaling: str = scaling
        self._bins = bins
        self._fitted: dict[str, Any] = {}
        self._missing = False
        self._filled = (0, 0)

    def columns(self, available: Sequence[str]) -> tuple[str, ...]:
        return (self._column,)

    def fit(self, table: pa.Table) -> None:
        values = self._values(table)
        missing = np.isnan(values)
        if missing.all():
            raise InputError(
                f"{self._where} has no value in the {len(values):,} training rows; leave it out"
            )
        self._fitted = SCALINGS[self._scaling].fit(values[~missing], self._bins or _BINS)
        self._missing = bool(missing.any())

    def apply(self, table: pa.Table) -> dict[str, NDArray[Any]]:
        values = self._values(table)
        scaled = SCALINGS[self._scaling].transform(values, self._fitted)
        missing = np.isnan(values)
        self._filled = (int(missing.sum()), len(table))
        return {"numbers": with_indicator(scaled, missing if self._missing else None)}

    @property
    def notes(self) -> tuple[str, ...]:
        filled, rows = self._filled
        return () if not filled or self._missing else (filled_note(self.name, filled, rows),)

    @property
    def number_names(self) -> tuple[str, ...]:
        return (self.name, f"{self.name}_missing") if self._missing else (self.name,)

    @property
    def expansions(self) -> tuple[Expansion | None, ...]:
        own = None
        if self._scaling == "piecewise" and self._fitted["bin_means"]:  # a constant has none
            mean, std = self._fitted["mean"], self._fitted["std"]
            starts = [(start - mean) / std for start in range(len(self._fitted["bin_means"]))]
            own = Expansion(starts, std, self._fitted["bin_means"], self._fitted["bin_stds"])
        return (own, None) if self._missing else (own,)

    @property
    def sizes(self) -> tuple[int, ...]:
        return ()

    def declared(self) -> Declared:
        if self._bins is not None:
            raise InputError(
                f"input {self.name!r}: bins are placed by training values, and without data there "
                "are none; remove bins, and the number enters as it is"
            )
        return Declared(numbers=1)

    def state(self) -> dict[str, Any]:
        return {
            "column": self._column,
            "scaling": self._scaling,
            "fitted": self._fitted,
            "missing": self._missing,
        }

    def load(self, state: dict[str, Any]) -> None:
        self._column, self._scaling = state["column"], state["scaling"]
        self._fitted, self._missing = state["fitted"], state["missing"]

    def _values(self, table: pa.Table) -> NDArray[np.float64]:
        require_columns(table, [self._column], f"input {self.name!r}")
        values = as_floats(table[self._column], self._where)
        refuse_infinite(values, self._where)
        return values

    @property
    def _where(self) -> str:
        return f"input {self.name!r}: column {self._column!r}"
