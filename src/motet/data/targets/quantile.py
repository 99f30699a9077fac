"""Labels that are numbers, of which quantiles are predicted."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Self, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from motet.data.inputs.base import Input
from motet.data.targets.base import NO_INPUTS, Target
from motet.data.targets.number import NumberTarget
from motet.data.values import described, is_list
from motet.problems import InputError
from motet.quantile_levels import middle, spelt


@final
class QuantileTarget(Target):
    """Numbers (N,), standardised as those of `NumberTarget`.

    Predictions are ``<task>``, the median or the middle quantile, and ``<task>_quantile_<level>``
    for each, in original units.

    Args:
        name: The task's name.
        column: Column to read; the task's name if left out.
        levels: Which quantiles, in increasing order.

    Example:
        >>> price = QuantileTarget("price", levels=[0.1, 0.9])
        >>> price.fit(pa.table({"price": [10.0, 30.0, None]}))
        >>> price.encode(pa.table({"price": [40.0, None]}))
        array([ 2., nan], dtype=float32)
        >>> list(price.predictions(np.array([[15.0, 25.0]])))
        ['price', 'price_quantile_0.1', 'price_quantile_0.9']
    """

    def __init__(
        self, name: str, *, column: str | None = None, levels: Sequence[float] = ()
    ) -> None:
        super().__init__(name, column=column)
        self.levels = tuple(levels)
        self._numbers = NumberTarget(name, column=column)

    @classmethod
    def for_task(cls, name: str, options: Mapping[str, Any], accepted: Collection[str]) -> Self:
        return cls(name, column=options.get("column"), levels=options["quantiles"])

    def fit(self, table: pa.Table, inputs: Mapping[str, Input] = NO_INPUTS) -> None:
        self._numbers.fit(table)
        if is_list(table[self.column].type):
            raise InputError(
                f"{self._where} holds {described(table[self.column].type)}, expected one "
                "number per row"
            )

    def encode(self, table: pa.Table, inputs: Mapping[str, Input] = NO_INPUTS) -> NDArray[Any]:
        return self._numbers.encode(table)

    def learned(self) -> dict[str, Any]:
        return {"scaling": self._numbers.scaling}

    def predictions(
        self,
        value: NDArray[Any],
        probabilities: NDArray[Any] | None = None,
        table: pa.Table | None = None,
        inputs: Mapping[str, Input] = NO_INPUTS,
    ) -> dict[str, pa.Array]:
        each = [pa.array(column) for column in value.astype(np.float64).T]
        return {self.name: each[middle(self.levels)]} | dict(
            zip(self.more_columns(), each, strict=True)
        )

    def more_columns(self) -> list[str]:
        return [f"{self.name}_quantile_{spelt(level)}" for level in self.levels]

    def state(self) -> dict[str, Any]:
        return {"levels": list(self.levels), **self._numbers.state()}

    def load(self, state: dict[str, Any]) -> None:
        self.column, self.levels = state["column"], tuple(state["levels"])
        self._numbers.load(state)
