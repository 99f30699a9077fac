"""Labels that are a number for every pixel of an image."""

from collections.abc import Mapping
from typing import Any, final

import numpy as np
import pyarrow as pa

from motet.data.inputs.base import Input
from motet.data.inputs.moments import Moments
from motet.data.targets.base import NO_INPUTS
from motet.data.targets.pixel_maps import Map, Wrong
from motet.data.targets.pixels import PixelTarget
from motet.data.targets.scaling import check_scale, standardised
from motet.problems import RowError

_SAMPLED = 1024
"""Training rows, evenly spaced, from which mean and standard deviation are learned."""


@final
class PixelNumberTarget(PixelTarget):
    """Numbers (N, H, W), standardised by the training labels, NaN where missing.

    See `motet.data.targets.pixel_maps`. Predictions are ``<task>``, nested lists of numbers in
    original units, float32.

    Args:
        name: The task's name.
        column: Column to read; the task's name if left out.
        unit: Factor from the numbers in the column to those that are predicted.
        missing: A number, before ``unit``, that means "no label".
        size: Height and width of the labels; those of the images, or else of the first training
            label, if left out.
        input: The input that has the images, where there are several.

    Example:
        >>> depth = PixelNumberTarget("depth", missing=0, unit=0.001)
        >>> depth.fit(pa.table({"depth": [[[1000, 3000], [0, 2000]], None]}))
        >>> depth.encode(pa.table({"depth": [[[2000, 0], [0, 0]]]})).tolist()
        [[[0.0, nan], [nan, nan]]]
    """

    dtype = np.float32
    _mean, _std = 0.0, 1.0

    def __init__(
        self,
        name: str,
        *,
        column: str | None = None,
        unit: float = 1.0,
        missing: float | None = None,
        size: tuple[int, int] | None = None,
        input: str | None = None,
    ) -> None:
        super().__init__(name, column=column, size=size, input=input)
        self._unit, self._missing = unit, missing

    @classmethod
    def own_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        unit = options.get("unit")
        return {"unit": 1.0 if unit is None else unit, "missing": options.get("missing")}

    @property
    def summary(self) -> str:
        return "number per pixel"

    def fit(self, table: pa.Table, inputs: Mapping[str, Input] = NO_INPUTS) -> None:
        maps = self._fit_frame(table, inputs)
        step = -(-len(maps) // _SAMPLED)
        chosen = range(0, len(maps), step)
        found: Moments | None = None
        for _, numbers in self._read(maps, chosen):
            own = Moments.of(numbers.reshape(-1))
            found = own if found is None else found + own
        count, std = (0, 0.0) if found is None else (int(found.count), float(found.std))
        check_scale(
            count,
            std,
            len(table),
            self._where,
            labels="labelled pixels",
            everywhere="labelled pixel of the training rows",
        )
        assert found is not None
        self._mean, self._std = float(found.mean), std
        if step > 1:
            self.notes = (
                f"task {self.name!r}: mean and standard deviation are learned from a sample of "
                f"{len(chosen):,} of {len(maps):,} rows",
            )

    def learned(self) -> dict[str, Any]:
        applied = {"unit": 1.0, "missing": None}  # what is left for the task to do
        return {"scaling": (self._mean, self._std), "size": self._frame.size, **applied}

    def state(self) -> dict[str, Any]:
        own = {"unit": self._unit, "missing": self._missing, "mean": self._mean, "std": self._std}
        return {**super().state(), **own}

    def load(self, state: dict[str, Any]) -> None:
        super().load(state)
        self._unit, self._missing = state["unit"], state["missing"]
        self._mean, self._std = state["mean"], state["std"]

    def _encoded(self, labels: Map, rows: range) -> Map:
        try:
            return standardised(labels, self._mean, self._std, self._where)
        except RowError as error:
            raise error.of(rows) from None

    def _empty(self, shape: tuple[int, int, int]) -> Map:
        return np.full(shape, np.nan)

    def _checked(self, labels: Map) -> Map:
        infinite = np.isinf(labels)
        if infinite.any():
            line, column = np.argwhere(infinite)[0]
            raise Wrong(
                f"is infinite at line {line}, column {column}, expected a number, or null where a "
                "pixel has none"
            )
        numbers = labels.astype(np.float64)
        if self._missing is not None:
            numbers[labels == self._missing] = np.nan
        return numbers * self._unit
