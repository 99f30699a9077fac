"""A sequence of vectors per row: frames of a video, of sound, of any recording."""

from collections.abc import Sequence
from typing import Annotated, Any, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from motet.data.inputs.base import LACKING, Input, Rows
from motet.data.inputs.moments import Moments
from motet.data.inputs.scaling import standardise
from motet.data.inputs.shapes import BranchShape
from motet.data.notes import Finding, Notes
from motet.data.selection import column_of
from motet.data.values import (
    Floats,
    as_matrix,
    described,
    is_list,
    list_lengths,
    refuse_infinite,
    rows_of_values,
)
from motet.options import Chosen, Mapping, PositiveInt, checked
from motet.problems import InputError, RowError

_FILLED = Finding("have frames that lack a number; the mean is used")


@final
class FrameSequence(Input):
    """A sequence of vectors per row, each row of its own length.

    A column holds lists of lists of numbers, (L, D) in each row: L frames of D numbers, D the same
    in all rows. Each component is shifted and scaled to mean 0 and standard deviation 1 over all
    frames of the training rows; missing numbers become 0 after that. A row without a frame lacks
    the input.

    Args:
        name: The input's name.
        column: Column to read; the input's name if left out.
        width: Numbers per frame, D; learned from the training rows if left out.
        max_length: Maximum number of frames; longer sequences are truncated, and counted.
        encoder: Encoder of the frames.

    Raises:
        InputError: If an option is unknown or wrong.

    Example:
        >>> speech = FrameSequence("speech")
        >>> rows = pa.table({"speech": [[[0.0], [2.0]], None, [[1.0]]]})
        >>> speech.observe(rows)
        >>> speech.finish()
        >>> tree, _ = speech.apply(rows)
        >>> tree["frames"][0:3].shape, tree["present"].tolist()
        (torch.Size([3, 2, 1]), [True, False, True])
    """

    @checked
    def __init__(
        self,
        name: str,
        *,
        column: str | None = None,
        width: PositiveInt | None = None,
        max_length: PositiveInt = 512,
        encoder: Annotated[Mapping[str, Any] | str, Chosen("encoder", default="lstm")] = "lstm",
    ) -> None:
        self.name = name
        self._column, self._width, self._max_length = column or name, width, max_length
        self._mean: list[float] = []
        self._std: list[float] = []
        self._moments: Moments | None = None
        self._rows = 0

    def columns(self, available: Sequence[str]) -> tuple[str, ...]:
        return (self._column,)

    def observe(self, rows: Rows) -> None:
        width = None if self._moments is None else len(self._moments.mean)
        values, lengths = self._frames(rows, width)
        self._rows += len(lengths)
        if values.size:
            if self._width not in (None, values.shape[1]):
                raise InputError(
                    f"found {self._width}, but {self._where} has {values.shape[1]} numbers per "
                    "frame; correct width, or leave it out",
                    option="width",
                )
            found = Moments.of(values)
            self._moments = found if self._moments is None else self._moments + found

    def finish(self) -> None:
        moments, count = self._moments, self._rows
        self._moments, self._rows = None, 0
        if moments is None or not moments.count.all():
            what = "frame" if moments is None else f"value in component {moments.count.argmin()}"
            raise InputError(
                f"{self._where} has no {what} in the {count:,} training rows; remove it"
            )
        self._mean = moments.mean.tolist()
        self._std = np.where(moments.std > 0, moments.std, 1).tolist()

    def apply(self, rows: Rows) -> tuple[dict[str, Any], Notes]:
        """Turn rows into frames.

        Returns:
            "frames" and "real", the rows of `motet.data.ragged.Ragged` tensors, whose padding is
            zeros and False, and "present", (N,).
        """
        from torch import from_numpy, ones  # here, as checking a config needs no torch

        from motet.data.ragged import Ragged

        values, found = self._frames(rows, len(self._mean))
        lengths = np.minimum(found, self._max_length)
        place = np.arange(len(values)) - np.repeat(np.cumsum(found) - found, found)
        values = values[place < self._max_length]
        lacking = np.isnan(values).any(axis=1)
        filled = np.unique(np.repeat(np.arange(len(lengths)), lengths)[lacking])
        scaled = standardise(values, np.array(self._mean), np.array(self._std))
        scaled = np.nan_to_num(scaled.astype(np.float32), nan=0.0)
        each = from_numpy(lengths)
        tree = {
            "frames": Ragged(from_numpy(scaled), each, fill=0),
            "real": Ragged(ones(len(scaled)).bool(), each, fill=0),
            "present": lengths > 0,
        }
        cut = Finding(f"have more than {self._max_length} frames, the rest is cut off (max_length)")
        notes = {
            LACKING: int((found == 0).sum()),
            _FILLED: len(filled),
            cut: int((found > self._max_length).sum()),
        }
        return tree, Notes(len(rows), notes)

    def shape(self) -> BranchShape:
        return BranchShape("sequence", (len(self._mean),))

    def declared(self) -> BranchShape:
        if self._width is None:
            raise InputError(
                "the numbers per frame are unknown without data; give them, for example width: 40",
                option="width",
                owner=f"input {self.name!r}",
            )
        return BranchShape("sequence", (self._width,))

    def state(self) -> dict[str, Any]:
        return {
            "column": self._column,
            "max_length": self._max_length,
            "mean": self._mean,
            "std": self._std,
        }

    def load(self, state: dict[str, Any]) -> None:
        self._column, self._max_length = state["column"], state["max_length"]
        self._mean, self._std = list(state["mean"]), list(state["std"])

    def _frames(self, rows: Rows, width: int | None) -> tuple[Floats, NDArray[np.int64]]:
        """Read all frames, one row after the other (frames, D), and how many each row has (N,)."""
        column = column_of(rows, self._column, f"input {self.name!r}")
        if column.null_count == len(column):
            return np.empty((0, width or 0)), np.zeros(len(column), np.int64)
        inner = column.type.value_type if is_list(column.type) else None
        if inner is None or not (is_list(inner) or pa.types.is_null(inner)):
            raise InputError(
                f"{self._where} holds {described(column.type)}, expected a list of vectors in "
                "every row: a list of lists of numbers"
            )
        lists = column.combine_chunks()
        lengths, flat = list_lengths(lists), lists.flatten()
        if not len(flat):
            return np.empty((0, width or 0)), lengths
        try:
            values = as_matrix(pa.chunked_array([flat]), f"{self._where}: a frame", width)
            refuse_infinite(values, self._where)
        except RowError as error:  # its row is the number of a frame among those of all rows
            raise error.of(rows_of_values(lists)) from None
        return values, lengths

    @property
    def _where(self) -> str:
        return f"column {self._column!r}"
