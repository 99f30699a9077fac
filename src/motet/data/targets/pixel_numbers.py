"""Labels that are a number for every pixel of an image."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Self, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from motet.data.inputs.base import Input
from motet.data.inputs.moments import Moments
from motet.data.targets.base import NO_INPUTS, Target
from motet.data.targets.pixel_maps import (
    Frame,
    Map,
    Maps,
    Wrong,
    fill,
    first_size,
    frame_of,
    labels_in,
    lists_of_maps,
)
from motet.data.targets.scaling import to_float32
from motet.problems import InputError, RowError

_SAMPLED = 1024
"""Training rows, evenly spaced, from which mean and standard deviation are learned."""
_ROWS = 64
"""Rows that are read at a time to learn them."""


@final
class PixelNumberTarget(Target):
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
        super().__init__(name, column=column)
        self._unit, self._missing, self._size, self._input = unit, missing, size, input
        self._frame = Frame(size, "refuse")

    @classmethod
    def for_task(cls, name: str, options: Mapping[str, Any], accepted: Collection[str]) -> Self:
        given = {option: options.get(option) for option in ("column", "missing", "size", "input")}
        size, unit = given["size"], options.get("unit")
        given["size"] = None if size is None else tuple(size)
        return cls(name, unit=1.0 if unit is None else unit, **given)

    @property
    def summary(self) -> str:
        return "number per pixel"

    def fit(self, table: pa.Table, inputs: Mapping[str, Input] = NO_INPUTS) -> None:
        maps = self._maps(table, inputs)
        frame = frame_of(self._size, self._input, inputs)
        first = None if frame.size is not None else first_size(maps, self._where)
        self._frame = frame._replace(size=frame.size or first)
        step = -(-len(maps) // _SAMPLED)
        chosen = range(0, len(maps), step)
        found: Moments | None = None
        for start in range(0, len(chosen), _ROWS):
            if self._frame.size is not None:
                own = Moments.of(self._read(maps, chosen[start : start + _ROWS]).reshape(-1))
                found = own if found is None else found + own
        if found is None or int(found.count) < 2:
            raise InputError(
                f"{self._where} has {0 if found is None else int(found.count)} labelled pixels in "
                f"the {len(table):,} training rows, expected at least 2; check the column, or "
                "remove the task"
            )
        if not float(found.std) > 0:
            raise InputError(
                f"{self._where} is the same in every labelled pixel of the training rows, so there "
                "is nothing to learn; check the column, or remove the task"
            )
        self._mean, self._std = float(found.mean), float(found.std)
        if step > 1:
            self.notes = (
                f"task {self.name!r}: mean and standard deviation are learned from a sample of "
                f"{len(chosen):,} of {len(maps):,} rows",
            )

    def encode(self, table: pa.Table, inputs: Mapping[str, Input] = NO_INPUTS) -> NDArray[Any]:
        maps = self._maps(table, inputs)
        found = np.empty((len(maps), *(self._frame.size or (0, 0))), np.float32)
        for start in range(0, len(maps), _ROWS):
            rows = range(start, min(start + _ROWS, len(maps)))
            scaled = (self._read(maps, rows) - self._mean) / self._std
            unit = " standard deviations of the training labels"
            try:
                found[start : start + len(rows)] = to_float32(scaled, self._where, unit)
            except RowError as error:
                raise error.of(rows) from None
        return found

    def learned(self) -> dict[str, Any]:
        applied = {"unit": 1.0, "missing": None}  # what is left for the task to do
        return {"scaling": (self._mean, self._std), "size": self._frame.size, **applied}

    def predictions(
        self,
        value: NDArray[Any],
        probabilities: NDArray[Any] | None = None,
        table: pa.Table | None = None,
        inputs: Mapping[str, Input] = NO_INPUTS,
    ) -> dict[str, pa.Array]:
        return {self.name: lists_of_maps(value.astype(np.float32))}

    def state(self) -> dict[str, Any]:
        return {
            "column": self.column,
            "unit": self._unit,
            "missing": self._missing,
            "mean": self._mean,
            "std": self._std,
            "size": list(self._frame.size or ()),
            "resize": self._frame.resize,
            "input": self._input,
        }

    def load(self, state: dict[str, Any]) -> None:
        self.column, self._unit, self._missing = state["column"], state["unit"], state["missing"]
        self._mean, self._std = state["mean"], state["std"]
        height, width = state["size"]
        self._frame = Frame((height, width), state["resize"])
        self._input = state["input"]

    def _maps(self, table: pa.Table, inputs: Mapping[str, Input]) -> Maps:
        return labels_in(table, self.column, self.name, self._input, inputs)

    def _read(self, maps: Maps, rows: Sequence[int]) -> NDArray[np.float64]:
        """Return numbers (B, H, W) in original units, NaN where missing."""
        assert self._frame.size is not None
        found = np.full((len(rows), *self._frame.size), np.nan)
        fill(maps, rows, self._frame, found, self._checked, self._where)
        return found

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
