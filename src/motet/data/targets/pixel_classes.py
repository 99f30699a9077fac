"""Labels that are a class for every pixel of an image."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Self, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from motet.data.inputs.base import Input
from motet.data.targets.base import NO_INPUTS, Target
from motet.data.targets.classes import MISSING, count_places
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
from motet.problems import InputError

MOST_CLASSES = 1000
_LARGEST = 32_767  # of int16


@final
class PixelClassTarget(Target):
    """Class indices (N, H, W), int16, -100 where missing; see `motet.data.targets.pixel_maps`.

    Classes are whole numbers from 0. Predictions are ``<task>``, nested lists of them.

    Args:
        name: The task's name.
        column: Column to read; the task's name if left out.
        classes: How many classes there are, or their names; one more than the largest label of the
            training rows if left out.
        ignored: A number that means "no label".
        size: Height and width of the labels; those of the images, or else of the first training
            label, if left out.
        input: The input that has the images, where there are several.

    Example:
        >>> mask = PixelClassTarget("mask", ignored=255)
        >>> mask.fit(pa.table({"mask": [[[0, 2], [1, 255]], None]}))
        >>> mask.learned()
        {'classes': 3, 'size': (2, 2)}
        >>> mask.encode(pa.table({"mask": [[[0, 2], [1, 255]]]})).tolist()
        [[[0, 2], [1, -100]]]
    """

    def __init__(
        self,
        name: str,
        *,
        column: str | None = None,
        classes: int | Sequence[str] | None = None,
        ignored: int | None = None,
        size: tuple[int, int] | None = None,
        input: str | None = None,
    ) -> None:
        super().__init__(name, column=column)
        self._given, self._ignored, self._size, self._input = classes, ignored, size, input
        self._names: tuple[str, ...] = ()
        self._frame = Frame(size, "refuse")

    @classmethod
    def for_task(cls, name: str, options: Mapping[str, Any], accepted: Collection[str]) -> Self:
        given = {option: options.get(option) for option in ("column", "classes", "size", "input")}
        size = given["size"]
        given["size"] = None if size is None else tuple(size)
        return cls(name, ignored=options.get("ignore_index"), **given)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes, or their numbers."""
        return self._names

    @property
    def summary(self) -> str:
        return f"{len(self._names)} classes per pixel"

    def fit(self, table: pa.Table, inputs: Mapping[str, Input] = NO_INPUTS) -> None:
        maps, frame = self._maps(table, inputs), frame_of(self._size, self._input, inputs)
        first = None if frame.size is not None else first_size(maps, self._where)
        self._frame = frame._replace(size=frame.size or first)
        if isinstance(self._given, int):
            self._names = tuple(map(str, range(self._given)))
        elif self._given is not None:
            self._names = tuple(self._given)
        found = _LARGEST if self._given is None else len(self._names)
        largest = -1
        for start in range(0, len(maps), _ROWS):
            rows = range(start, min(start + _ROWS, len(maps)))
            if self._frame.size is not None:
                largest = max(largest, int(self._encoded(maps, rows, found).max()))
            if largest >= 0 and self._given is not None:
                return  # the rest is checked when it is encoded
        if largest < 0:
            raise InputError(
                f"{self._where} has no label in the {len(table):,} training rows; check it, or "
                "remove the task"
            )
        self._learn_classes(largest + 1)

    def encode(self, table: pa.Table, inputs: Mapping[str, Input] = NO_INPUTS) -> NDArray[Any]:
        maps = self._maps(table, inputs)
        return self._encoded(maps, range(len(maps)), len(self._names))

    def learned(self) -> dict[str, Any]:
        classes = self._names if isinstance(self._given, tuple | list) else len(self._names)
        return {"classes": classes, "size": self._frame.size}

    def class_counts(self, encoded: NDArray[Any]) -> list[int]:
        """Count the pixels of each class."""
        return count_places(encoded.reshape(-1), len(self._names))

    def more_columns(self) -> list[str]:
        return []

    def predictions(
        self,
        value: NDArray[Any],
        probabilities: NDArray[Any] | None = None,
        table: pa.Table | None = None,
        inputs: Mapping[str, Input] = NO_INPUTS,
    ) -> dict[str, pa.Array]:
        return {self.name: lists_of_maps(value.astype(np.int16))}

    def state(self) -> dict[str, Any]:
        named = isinstance(self._given, tuple | list)
        return {
            "column": self.column,
            "classes": list(self._names) if named else len(self._names),
            "ignored": self._ignored,
            "size": list(self._frame.size or ()),
            "resize": self._frame.resize,
            "input": self._input,
        }

    def load(self, state: dict[str, Any]) -> None:
        self.column, self._given, self._ignored = (
            state["column"],
            state["classes"],
            state["ignored"],
        )
        given = state["classes"]
        self._names = tuple(map(str, range(given))) if isinstance(given, int) else tuple(given)
        height, width = state["size"]
        self._frame = Frame((height, width), state["resize"])
        self._input = state["input"]

    def _maps(self, table: pa.Table, inputs: Mapping[str, Input]) -> Maps:
        return labels_in(table, self.column, self.name, self._input, inputs)

    def _learn_classes(self, classes: int) -> None:
        if classes > MOST_CLASSES:
            raise InputError(
                f"{self._where} has labels up to {classes - 1:,}, expected at most "
                f"{MOST_CLASSES:,} classes; give ignore_index if that means no label, classes if "
                "there are so many, or use type: pixel_regression"
            )
        if classes < 2:
            raise InputError(
                f"{self._where} is 0 in every labelled pixel of the training rows, expected at "
                "least two classes; check the column, or remove the task"
            )
        self._names = tuple(map(str, range(classes)))

    def _encoded(self, maps: Maps, rows: Sequence[int], classes: int) -> NDArray[np.int16]:
        assert self._frame.size is not None
        found = np.full((len(rows), *self._frame.size), MISSING, np.int16)
        fill(
            maps,
            rows,
            self._frame,
            found,
            lambda labels: self._checked(labels, classes),
            self._where,
        )
        return found

    def _checked(self, labels: Map, classes: int) -> Map:
        """Return labels (h, w) of which those that are missing are -100."""
        missing = labels == MISSING
        if labels.dtype.kind == "f":
            missing |= np.isnan(labels)
        if self._ignored is not None:
            missing |= labels == self._ignored
        wrong = ~missing & ((labels < 0) | (labels >= classes))
        if labels.dtype.kind == "f":
            wrong |= ~missing & (labels != np.floor(labels))
        if wrong.any():
            line, column = np.argwhere(wrong)[0]
            value = labels[line, column]
            raise Wrong(
                f"is {value:g} at line {line}, column {column}, expected a class from 0 to "
                f"{classes - 1:,}{self._advice(float(value), classes)}"
            )
        found = np.where(missing, 0, labels).astype(np.int16)  # in 8 bits, -100 would be 156
        found[missing] = MISSING
        return found

    def _advice(self, value: float, classes: int) -> str:
        if value < 0 or value != int(value):
            return ", or null where a pixel has none"
        if self._given is not None:
            return "; correct it, classes, or give ignore_index if it means no label"
        return (
            f", as the training rows have; give classes: {int(value) + 1}, or ignore_index: "
            f"{int(value)} if it means no label"
        )


_ROWS = 64
"""Rows that are read at a time to learn the classes."""
