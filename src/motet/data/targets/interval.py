"""Labels that are numbers, of which some are known only as bounds."""

from collections.abc import Mapping
from typing import Any, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from motet.data.bounds import read_intervals
from motet.data.inputs.base import Input
from motet.data.selection import require_columns
from motet.data.targets.base import NO_INPUTS, Target
from motet.data.targets.scaling import learn_scale, standardised
from motet.problems import InputError


@final
class IntervalTarget(Target):
    """Intervals (N, 2), standardised by the numbers in the training labels, NaN where missing.

    A column holds numbers, or texts that spell numbers or bounds such as ">1000". A bound counts as
    the number that it names when mean and standard deviation are computed.

    Example:
        >>> assay = IntervalTarget("assay")
        >>> assay.fit(pa.table({"assay": ["10", "30", ">30", None, "10"]}))
        >>> assay.encode(pa.table({"assay": [">30", "20"]}))
        array([[ 1., inf],
               [ 0.,  0.]], dtype=float32)
        >>> assay.notes[0]
        "task 'assay': 1 of 4 training labels are bounds; metrics are of the others"
    """

    _mean, _std = 0.0, 1.0

    def fit(self, table: pa.Table, inputs: Mapping[str, Input] = NO_INPUTS) -> None:
        intervals = self._intervals(table)
        low, high = intervals.T
        numbers, exact = np.where(np.isinf(low), high, low), low == high
        mean, std = learn_scale(numbers, self._where)
        self._mean, self._std = float(mean), float(std)
        labels, bounds = (~np.isnan(numbers)).sum(), (~np.isnan(numbers) & ~exact).sum()
        if labels - bounds < 2:
            raise InputError(
                f"{self._where} has {labels - bounds} exact numbers and {bounds:,} bounds in the "
                "training rows, expected at least 2 exact ones"
            )
        count = f"{bounds:,} of {labels:,} training labels are bounds"
        self.notes = (
            f"task {self.name!r}: {count}; metrics are of the others"
            if bounds
            else f"task {self.name!r}: no training label is a bound, so censored only chooses the "
            "likelihood as the loss",
        )

    def encode(self, table: pa.Table, inputs: Mapping[str, Input] = NO_INPUTS) -> NDArray[Any]:
        intervals = self._intervals(table)
        bounds = np.isinf(intervals)
        return standardised(intervals, self._mean, self._std, self._where, beyond=bounds)

    def learned(self) -> dict[str, Any]:
        return {"scaling": (self._mean, self._std)}

    def predictions(
        self,
        value: NDArray[Any],
        probabilities: NDArray[Any] | None = None,
        table: pa.Table | None = None,
        inputs: Mapping[str, Input] = NO_INPUTS,
    ) -> dict[str, pa.Array]:
        return {self.name: pa.array(value.astype(np.float64))}

    def state(self) -> dict[str, Any]:
        return {"column": self.column, "mean": self._mean, "std": self._std}

    def load(self, state: dict[str, Any]) -> None:
        self.column, self._mean, self._std = state["column"], state["mean"], state["std"]

    def _intervals(self, table: pa.Table) -> NDArray[np.float64]:
        require_columns(table, [self.column], f"task {self.name!r}")
        return read_intervals(table[self.column], self._where)
