"""Labels that are counts."""

from collections.abc import Mapping
from typing import Any, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from motet.data.inputs.base import Input
from motet.data.selection import require_columns
from motet.data.targets.base import NO_INPUTS, Target
from motet.data.targets.scaling import learn_scale
from motet.data.values import as_floats
from motet.problems import RowError


@final
class CountTarget(Target):
    """Counts (N,), float32, NaN where missing; predictions are expected counts.

    Example:
        >>> visits = CountTarget("visits")
        >>> visits.fit(pa.table({"visits": [0, 3, None]}))
        >>> visits.encode(pa.table({"visits": [2, None]}))
        array([ 2., nan], dtype=float32)
    """

    def fit(self, table: pa.Table, inputs: Mapping[str, Input] = NO_INPUTS) -> None:
        learn_scale(self._values(table), self._where)

    def encode(self, table: pa.Table, inputs: Mapping[str, Input] = NO_INPUTS) -> NDArray[Any]:
        return self._values(table).astype(np.float32)

    def predictions(
        self,
        value: NDArray[Any],
        probabilities: NDArray[Any] | None = None,
        table: pa.Table | None = None,
        inputs: Mapping[str, Input] = NO_INPUTS,
    ) -> dict[str, pa.Array]:
        return {self.name: pa.array(value.astype(np.float64))}

    def _values(self, table: pa.Table) -> NDArray[np.float64]:
        require_columns(table, [self.column], f"task {self.name!r}")
        values = as_floats(table[self.column], self._where)
        wrong = ~np.isnan(values) & ~(
            (values >= 0) & (values == np.floor(values)) & (values < 1e38)
        )
        if wrong.any():
            row = int(wrong.argmax())
            raise RowError(
                f"{self._where} has {values[row]:g} in",
                row,
                ", expected counts, whole numbers from 0; correct it, or use type: regression",
            )
        return values
