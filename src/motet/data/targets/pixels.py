"""The base of targets with a label for every pixel: which image they are of, and their size."""

from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike, NDArray

from motet.data.inputs.base import Input
from motet.data.targets.base import NO_INPUTS, Target
from motet.data.targets.pixel_frames import (
    Frame,
    fill,
    first_size,
    frame_of,
    image_of,
    lists_of_maps,
)
from motet.data.targets.pixel_maps import Map, Maps, maps_in

_ROWS = 64
"""Rows that are read at a time."""


class PixelTarget(Target):
    """Labels (N, H, W) of one task, brought to the size of the images.

    Predictions are ``<task>``, nested lists.

    Args:
        name: The task's name.
        column: Column to read; the task's name if left out.
        size: Height and width of the labels; those of the images, or else of the first training
            label, if left out.
        input: The input that has the images, where there are several.
    """

    dtype: ClassVar[DTypeLike]
    """Type of encoded labels and of predictions."""

    def __init__(
        self,
        name: str,
        *,
        column: str | None = None,
        size: tuple[int, int] | None = None,
        input: str | None = None,
    ) -> None:
        super().__init__(name, column=column)
        self._size, self._input = size, input
        self._frame = Frame(size, "refuse")

    @classmethod
    def for_task(cls, name: str, options: Mapping[str, Any], accepted: Collection[str]) -> Self:
        given = {each: options.get(each) for each in ("column", "input")}
        return cls(name, size=_size(options), **given, **cls.own_options(options))

    @classmethod
    @abstractmethod
    def own_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments that only this kind has, from the options of a task."""

    def encode(self, table: pa.Table, inputs: Mapping[str, Input] = NO_INPUTS) -> NDArray[Any]:
        maps = self._maps(table, inputs)
        found = np.empty((len(maps), *(self._frame.size or (0, 0))), self.dtype)
        for rows, labels in self._read(maps, range(len(maps))):
            found[rows.start : rows.stop] = self._encoded(labels, rows)
        return found

    def predictions(
        self,
        value: NDArray[Any],
        probabilities: NDArray[Any] | None = None,
        table: pa.Table | None = None,
        inputs: Mapping[str, Input] = NO_INPUTS,
    ) -> dict[str, pa.Array]:
        return {self.name: lists_of_maps(value.astype(self.dtype))}

    def more_columns(self) -> list[str]:
        return []

    def state(self) -> dict[str, Any]:
        return {
            "column": self.column,
            "size": list(self._frame.size or ()),
            "resize": self._frame.resize,
            "image": None if self._frame.image is None else list(self._frame.image),
            "input": self._input,
        }

    def load(self, state: dict[str, Any]) -> None:
        self.column, self._input = state["column"], state["input"]
        self._frame = Frame(_size(state), state["resize"], _size(state, "image"))

    # Reading -------------------------------------------------------------------------------------

    def _fit_frame(self, table: pa.Table, inputs: Mapping[str, Input]) -> Maps:
        """Learn the size of the labels, which stays unknown if no row has any; return them."""
        maps, frame = self._maps(table, inputs), frame_of(self._size, self._input, inputs)
        first = None if frame.size is not None else first_size(maps, self._where)
        self._frame = frame._replace(size=frame.size or first)
        return maps

    def _maps(self, table: pa.Table, inputs: Mapping[str, Input]) -> Maps:
        """Return the labels, whose relative paths start where those of their images do."""
        image = image_of(self._input, inputs)
        root = None if image is None else getattr(inputs[image], "root", None)
        return maps_in(table, self.column, self.name, root)

    def _read(self, maps: Maps, rows: range) -> Iterator[tuple[range, Map]]:
        """Yield labels (B, H, W) of some rows at a time, and which rows they are of."""
        if self._frame.size is None:
            return
        for start in range(0, len(rows), _ROWS):
            some = rows[start : start + _ROWS]
            found = self._empty((len(some), *self._frame.size))
            fill(maps, some, self._frame, found, self._checked, self._where)
            yield some, found

    def _encoded(self, labels: Map, rows: range) -> Map:
        """Return labels (B, H, W) as the task's loss takes them; ``rows`` are for messages."""
        return labels

    @abstractmethod
    def _empty(self, shape: tuple[int, int, int]) -> Map:
        """Return labels that are all missing."""

    @abstractmethod
    def _checked(self, labels: Map) -> Map:
        """Return labels (h, w) of a row as they are encoded; raise `Wrong` if they cannot be."""


def _size(given: Mapping[str, Any], name: str = "size") -> tuple[int, int] | None:
    if not (found := given.get(name)):
        return None
    height, width = found
    return height, width
