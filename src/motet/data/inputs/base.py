"""The interface of inputs: learn from training rows in batches, then turn any rows into arrays.

The state of an input is plain JSON and holds all that ``apply`` needs, options included, so a model
folder predicts without the training data.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from motet.data.inputs.shapes import Shape
from motet.data.notes import Finding, Notes
from motet.problems import InputError

Rows: TypeAlias = pa.Table | pa.RecordBatch


class Input(ABC):
    """One named part of an example.

    A new kind of input takes its name first and has defaults for all its options, which are
    keyword-only and become options in a config.
    """

    name: str
    notes: tuple[str, ...] = ()
    """What `finish` found that users should know."""

    @abstractmethod
    def columns(self, available: Sequence[str]) -> tuple[str, ...]:
        """Name the raw columns that are read.

        Args:
            available: All columns, to resolve patterns with before `observe`.

        Returns:
            Names of columns; those seen in training once rows were observed.

        Raises:
            InputError: If a pattern matches none.
        """

    def observe(self, rows: Rows) -> None:  # noqa: B027  # an input may have nothing to learn
        """Learn scales, vocabularies and so on from some training rows.

        Args:
            rows: Training rows, in order, all of them over one call or several.

        Raises:
            InputError: If a column cannot be read.
        """

    def finish(self) -> None:  # noqa: B027  # an input may have nothing to learn
        """End learning; `apply` can be called from now on.

        Raises:
            InputError: If there is nothing to learn from, such as a column without any value.
        """

    @abstractmethod
    def apply(self, rows: Rows) -> tuple[Any, Notes]:
        """Turn rows into arrays, without changing anything: threads may share an input.

        Args:
            rows: N rows, from training or later, with or without missing values.

        Returns:
            The arrays, and notes about these rows. Of a `TableShape` the arrays are "numbers",
            float32 (N, numbers), and "categories", int64 (N, categories), either left out where it
            has none; of any other shape what the encoder takes: an array, a
            `motet.data.ragged.Ragged`, or a mapping of those, N rows each.

        Raises:
            InputError: If a column cannot be read.
        """

    @abstractmethod
    def shape(self) -> Shape:
        """Return what an encoder needs to know, once learning has ended."""

    def declared(self) -> Shape:
        """Return the shape if no missing value occurs, for a model without data.

        Raises:
            InputError: If the options do not determine it; the message names those that would.
        """
        raise InputError(
            "its width is learned from data, and a model without data needs it beforehand; define "
            f"declared() in {type(self).__name__}, or train a run",
            owner=f"input {self.name!r}",
        )

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return what was learned and the options, as JSON can hold it."""

    @abstractmethod
    def load(self, state: dict[str, Any]) -> None:
        """Load a state; ``apply`` then gives the same arrays as the input that it came from."""


def with_indicator(values: NDArray[Any], missing: NDArray[np.bool_] | None) -> NDArray[np.float32]:
    """Fill NaN with 0 and append a column that marks rows with missing values.

    Args:
        values: Scaled numbers, shape (N, w).
        missing: Which rows to mark, shape (N,); None appends no column.

    Returns:
        Finite numbers, shape (N, w) or (N, w + 1).
    """
    width = values.shape[1]
    filled = np.zeros((len(values), width + (missing is not None)), np.float32)
    np.copyto(filled[:, :width], values, where=~np.isnan(values), casting="same_kind")
    if missing is not None:
        filled[:, width] = missing
    return filled


FILLED = Finding("lack a number, which no training row did; the mean is used")
"""Rows with missing numbers where training rows had none."""
LACKING = Finding("lack it, as a missing modality")
"""Rows without an input that has an encoder of its own."""
