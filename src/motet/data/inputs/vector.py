"""A vector per row, made elsewhere: an embedding, a profile, a block of columns."""

from collections.abc import Sequence
from typing import Any, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from motet.data.inputs.base import Declared, Input, filled_note, with_indicator
from motet.data.inputs.scaling import mean_and_std, standardise
from motet.data.selection import matching, require_columns
from motet.data.values import Floats, as_floats, as_matrix, refuse_infinite
from motet.options import PositiveInt, checked
from motet.problems import InputError


@final
class Vector(Input):
    """A vector per row: one column of lists of one length, or several columns of numbers.

    Each component is shifted and divided to mean 0 and standard deviation 1. Missing components
    become 0 after that; if there were any in training, a further column marks the rows that lack
    some.

    Args:
        name: The input's name.
        column: Column of lists to read; the input's name if left out.
        columns: Columns of numbers to read instead: a pattern such as "clip_*", or their names.
            Their order in training counts, not that in later data.
        width: How many numbers a vector has; learned from the training part if left out.

    Raises:
        InputError: If an option is unknown or wrong, or both column and columns are given.

    Example:
        >>> clip = Vector("clip", columns="clip_*")
        >>> clip.fit(pa.table({"clip_a": [0.0, 2.0], "clip_b": [5.0, 5.0]}))
        >>> clip.apply(pa.table({"clip_b": [6.0], "clip_a": [1.0]}))["numbers"]
        array([[0., 1.]], dtype=float32)
    """

    @checked
    def __init__(
        self,
        name: str,
        *,
        column: str | None = None,
        columns: str | Sequence[str] | None = None,
        width: PositiveInt | None = None,
    ) -> None:
        if column is not None and columns is not None:
            raise InputError(
                f"input {name!r}: found column and columns, expected one of them: column for "
                "lists of numbers, columns for a number in each"
            )
        self.name = name
        self._wanted = columns
        self._width = width
        self._names: tuple[str, ...] = (column or name,) if columns is None else ()
        # several columns are known once fitted
        self._mean: list[float] = []
        self._std: list[float] = []
        self._missing = False
        self._filled = (0, 0)

    def columns(self, available: Sequence[str]) -> tuple[str, ...]:
        if self._names or self._wanted is None:
            return self._names
        return matching(self._wanted, available, f"input {self.name!r}")

    def fit(self, table: pa.Table) -> None:
        if self._wanted is not None:
            self._names = matching(self._wanted, table.column_names, f"input {self.name!r}")
        values = self._values(table, width=None)
        if self._width not in (None, values.shape[1]):
            raise InputError(
                f"{self._where} has {values.shape[1]} numbers per row, expected width: "
                f"{self._width}; correct width, or leave it out"
            )
        missing = np.isnan(values)
        empty = missing.all(axis=0)
        if not values.size or empty.any():
            which = "no value" if empty.all() else f"no value in component {empty.argmax()}"
            raise InputError(
                f"{self._where} has {which} in the {len(values):,} training rows; leave it out"
            )
        mean, std = mean_and_std(values)
        self._mean, self._std = mean.tolist(), np.where(std > 0, std, 1).tolist()
        self._missing = bool(missing.any())

    def apply(self, table: pa.Table) -> dict[str, NDArray[Any]]:
        values = self._values(table, width=len(self._mean))
        scaled = standardise(values, np.array(self._mean), np.array(self._std))
        missing = np.asarray(np.isnan(values).any(axis=1))
        self._filled = (int(missing.sum()), len(table))
        return {"numbers": with_indicator(scaled, missing if self._missing else None)}

    @property
    def notes(self) -> tuple[str, ...]:
        filled, rows = self._filled
        return () if not filled or self._missing else (filled_note(self.name, filled, rows),)

    @property
    def number_names(self) -> tuple[str, ...]:
        names = self._names
        if self._wanted is None:
            names = tuple(f"{self.name}_{place}" for place in range(len(self._mean)))
        return (*names, f"{self.name}_missing") if self._missing else names

    @property
    def sizes(self) -> tuple[int, ...]:
        return ()

    def declared(self) -> Declared:
        if self._width is None:
            raise InputError(
                f"input {self.name!r}: how many numbers it has is not known without data; give "
                "width, for example width: 512"
            )
        return Declared(numbers=self._width)

    def state(self) -> dict[str, Any]:
        return {
            "columns": list(self._names),
            "lists": self._wanted is None,
            "mean": self._mean,
            "std": self._std,
            "missing": self._missing,
        }

    def load(self, state: dict[str, Any]) -> None:
        self._names = tuple(state["columns"])
        self._wanted = None if state["lists"] else self._names
        self._mean, self._std = list(state["mean"]), list(state["std"])
        self._missing = state["missing"]

    def _values(self, table: pa.Table, width: int | None) -> Floats:
        require_columns(table, self._names, f"input {self.name!r}")
        values: Floats
        if self._wanted is None:
            values = as_matrix(table[self._names[0]], self._where, width)
        else:
            where = f"input {self.name!r}: column"
            columns = [as_floats(table[name], f"{where} {name!r}") for name in self._names]
            values = np.column_stack(columns)
        refuse_infinite(values, self._where)
        return values

    @property
    def _where(self) -> str:
        if self._wanted is None:
            return f"input {self.name!r}: column {self._names[0]!r}"
        return f"input {self.name!r}"
