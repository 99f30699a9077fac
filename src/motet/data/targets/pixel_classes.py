"""Labels that are a class for every pixel of an image."""

from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from motet.data.inputs.base import Input
from motet.data.targets.base import NO_INPUTS
from motet.data.targets.classes import MISSING, count_places
from motet.data.targets.pixel_maps import Map, Wrong
from motet.data.targets.pixels import PixelTarget
from motet.problems import InputError

MOST_CLASSES = 1000
_LARGEST = 32_767  # of int16
_VOID = 255
"""What masks of 8 bits most often hold where a pixel has no class, or for the one class."""


@final
class PixelClassTarget(PixelTarget):
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

    dtype = np.int16

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
        super().__init__(name, column=column, size=size, input=input)
        self._given, self._ignored = classes, ignored
        self._names = () if classes is None else _named(classes)

    @classmethod
    def own_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        return {"classes": options.get("classes"), "ignored": options.get("ignore_index")}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes, or their numbers."""
        return self._names

    @property
    def summary(self) -> str:
        return f"{len(self._names)} classes per pixel"

    def fit(self, table: pa.Table, inputs: Mapping[str, Input] = NO_INPUTS) -> None:
        maps, seen = self._fit_frame(table, inputs), np.zeros(_LARGEST, np.bool_)
        for _, labels in self._read(maps, range(len(maps))):
            seen[labels[labels != MISSING]] = True
            if self._given is not None and seen.any():
                return  # the rest is checked when it is encoded
        if not seen.any():
            raise InputError(
                f"{self._where} has no label in the {len(table):,} training rows; check it, or "
                "remove the task"
            )
        self._learn_classes(np.flatnonzero(seen))

    def learned(self) -> dict[str, Any]:
        classes = self._names if isinstance(self._given, tuple | list) else len(self._names)
        return {"classes": classes, "size": self._frame.size}

    def class_counts(self, encoded: NDArray[Any]) -> list[int]:
        """Count the pixels of each class."""
        return count_places(encoded.reshape(-1), len(self._names))

    def state(self) -> dict[str, Any]:
        named = isinstance(self._given, tuple | list)
        classes = list(self._names) if named else len(self._names)
        return {**super().state(), "classes": classes, "ignored": self._ignored}

    def load(self, state: dict[str, Any]) -> None:
        super().load(state)
        self._given, self._ignored = state["classes"], state["ignored"]
        self._names = _named(state["classes"])

    def _learn_classes(self, seen: NDArray[np.int64]) -> None:
        """Learn the classes from the labels that occur, in order."""
        largest = int(seen[-1])
        if largest >= MOST_CLASSES:
            raise InputError(
                f"{self._where} has labels up to {largest:,}, expected at most "
                f"{MOST_CLASSES:,} classes; give ignore_index if that means no label, classes if "
                "there are so many, or use type: pixel_regression"
            )
        if largest < 1:
            raise InputError(
                f"{self._where} is 0 in every labelled pixel of the training rows, expected at "
                "least two classes; check the column, or remove the task"
            )
        before = int(seen[-2]) if len(seen) > 1 else 0
        if largest == _VOID and before < _VOID // 2:
            means = "give ignore_index: 255 if it means no label" if before else "write 1 for it"
            raise InputError(
                f"{self._where} has labels from 0 to {before:,}, and {_VOID}; {means}, or give "
                f"classes: {_VOID + 1} if there are so many"
            )
        self._names = _named(largest + 1)

    def _empty(self, shape: tuple[int, int, int]) -> Map:
        return np.full(shape, MISSING, np.int16)

    def _checked(self, labels: Map) -> Map:
        missing, classes = labels == MISSING, len(self._names) or _LARGEST
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


def _named(classes: int | Sequence[str]) -> tuple[str, ...]:
    return tuple(map(str, range(classes))) if isinstance(classes, int) else tuple(classes)
