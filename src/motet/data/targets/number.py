"""Labels that are numbers: one per row, or several."""

from collections.abc import Collection, Mapping
from typing import Any, Self, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from motet.data.bounds import count_bounds
from motet.data.inputs.base import Input
from motet.data.inputs.logarithm import log_scale, spans_decades, to_log
from motet.data.selection import require_columns
from motet.data.targets.base import NO_INPUTS, Target
from motet.data.targets.scaling import learn_scale, standardised, to_float32
from motet.data.values import Floats, as_floats, as_matrix, described, is_list, refuse_infinite
from motet.problems import InputError


@final
class NumberTarget(Target):
    """Numbers, standardised by the training labels so that losses are near 1 whatever the unit.

    A column of numbers gives targets (N,), one of lists of D numbers (N, D), NaN where missing.
    Predictions are in original units: the task undoes ``scaling``, not this class.

    Args:
        name: The task's name.
        column: Column to read; the task's name if left out.
        scale: Whether to standardise.
        outputs: How many numbers a row must have; learned from the training rows if left out.
        transform: Whether numbers become logarithms before that: none, log, or auto, where they
            span decades. Each output for itself.

    Example:
        >>> spend = NumberTarget("spend")
        >>> spend.fit(pa.table({"spend": [10.0, 30.0, None]}))
        >>> spend.encode(pa.table({"spend": [40.0, None]}))
        array([ 2., nan], dtype=float32)
        >>> spend.scaling
        (20.0, 10.0)
    """

    def __init__(
        self,
        name: str,
        *,
        column: str | None = None,
        scale: bool = True,
        outputs: int | None = None,
        transform: str = "none",
    ) -> None:
        super().__init__(name, column=column)
        self._scale, self._transform = scale, transform
        self._log: list[float | None] = []  # per output; empty if none is a logarithm
        self._expected = outputs
        self._mean: Any = 0.0
        self._std: Any = 1.0
        self._lists = False

    @classmethod
    def for_task(cls, name: str, options: Mapping[str, Any], accepted: Collection[str]) -> Self:
        """Make the target of a task, which standardises if the task can undo it."""
        column, outputs = options.get("column"), options.get("outputs")
        transform = options.get("transform", "none") if "transform" in accepted else "none"
        scale = "scaling" in accepted
        return cls(name, column=column, scale=scale, outputs=outputs, transform=transform)

    @property
    def scaling(self) -> tuple[float | tuple[float, ...], float | tuple[float, ...]] | None:
        """Mean and standard deviation, one each, or one per output; None if nothing is scaled."""
        if not self._scale:
            return None
        return (tuple(self._mean), tuple(self._std)) if self._lists else (self._mean, self._std)

    @property
    def outputs(self) -> int:
        """Numbers per row."""
        return len(self._mean) if self._lists else 1

    def fit(self, table: pa.Table, inputs: Mapping[str, Input] = NO_INPUTS) -> None:
        values = self._values(table)
        outputs = values.shape[1] if values.ndim == 2 else 1
        if self._expected not in (None, outputs):
            raise InputError(
                f"found {self._expected}, but {self._where} has {outputs} "
                f"{'numbers' if outputs > 1 else 'number'} per row; correct outputs, or remove it",
                option="outputs",
            )
        learn_scale(values, self._where)  # for what it refuses, in the unit of the labels
        self._learn_logarithms(values.reshape(len(values), outputs))
        mean, std = learn_scale(self._logarithms(values), self._where)
        self._lists = values.ndim == 2
        self._mean, self._std = mean.tolist(), std.tolist()

    def encode(self, table: pa.Table, inputs: Mapping[str, Input] = NO_INPUTS) -> NDArray[Any]:
        values = self._values(table)
        if (values.ndim == 2) != self._lists:
            expected = f"lists of {self.outputs} numbers" if self._lists else "one number per row"
            raise InputError(
                f"{self._where} holds {described(table[self.column].type)}, expected {expected} "
                "as in training"
            )
        values = self._logarithms(values)
        if not self._scale:
            return to_float32(values, self._where)
        return standardised(values, np.array(self._mean), np.array(self._std), self._where)

    def learned(self) -> dict[str, Any]:
        learned: dict[str, Any] = {"scaling": self.scaling, "outputs": self.outputs}
        if self._transform != "none":
            scales = tuple(self._log) if self._log else None
            learned["transform"] = "log" if scales else "none"
            learned["log_scale"] = scales if scales is None or self._lists else scales[0]
        return learned

    def predictions(
        self,
        value: NDArray[Any],
        probabilities: NDArray[Any] | None = None,
        table: pa.Table | None = None,
        inputs: Mapping[str, Input] = NO_INPUTS,
    ) -> dict[str, pa.Array]:
        value = value.astype(np.float64)
        if not self._lists:
            return {self.name: pa.array(value.reshape(len(value)))}
        return {f"{self.name}_{place}": pa.array(each) for place, each in enumerate(value.T)}

    def state(self) -> dict[str, Any]:
        return {
            "column": self.column,
            "scale": self._scale,
            "mean": self._mean,
            "std": self._std,
            "lists": self._lists,
            **({} if self._transform == "none" else {"transform": "log", "log": self._log}),
        }

    def load(self, state: dict[str, Any]) -> None:
        self.column, self._scale = state["column"], state["scale"]
        self._mean, self._std, self._lists = state["mean"], state["std"], state["lists"]
        self._transform, self._log = state.get("transform", "none"), list(state.get("log", ()))

    def _learn_logarithms(self, values: Floats) -> None:
        """Learn the scale of the logarithm of each output, of labels (N, outputs)."""
        if self._transform == "none":
            return
        reasons = [spans_decades(each) if self._transform == "auto" else "" for each in values.T]
        self._log = [
            log_scale(each) if self._transform == "log" or reason else None
            for each, reason in zip(values.T, reasons, strict=True)
        ]
        first = next((place for place, reason in enumerate(reasons) if reason), None)
        if first is not None:
            of = f" of number {first} of its lists" if len(reasons) > 1 else ""
            self.notes = (
                f"task {self.name!r}:{of} {reasons[first]}, so it is trained on their logarithm "
                "and predicts the numbers themselves",
            )
        if not any(self._log):
            self._log = []

    def _logarithms(self, values: Floats) -> Floats:
        if not self._log:
            return values
        columns = values.reshape(len(values), -1).astype(np.float64)
        for place, scale in enumerate(self._log):
            if scale is not None:
                columns[:, place] = to_log(columns[:, place], scale)
        return columns.reshape(values.shape)

    def _values(self, table: pa.Table) -> Floats:
        require_columns(table, [self.column], f"task {self.name!r}")
        column = table[self.column]
        width = self.outputs if self._lists else None
        values: Floats
        if is_list(column.type) or (self._lists and column.null_count == len(column)):
            values = as_matrix(column, self._where, width)
        else:
            if count_bounds(column):
                raise InputError(
                    f"{self._where} holds bounds such as '>10' beside numbers; use type: "
                    "regression with censored: auto, which reads them"
                )
            values = as_floats(column, self._where)
        refuse_infinite(values, self._where)
        return values
