"""What every input can do: be fitted on the training part, and then turn any rows into arrays.

An input gives columns of numbers, of category indices, or both, and the encoder of tables is sized
by ``width`` and ``sizes``; or it is a text, which has an encoder of its own. Its state is plain
JSON and holds all that ``apply`` needs, options included, so a model folder predicts without the
training data.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from motet.problems import InputError


class Expansion(NamedTuple):
    """How an encoder can spread a column x of numbers over T bins, of equal width in x.

    Bin t becomes ``(clip((x - starts[t]) * slope, 0, 1) - means[t]) / stds[t]``, the
    piecewise-linear encoding of Gorishniy et al. (NeurIPS 2022, arXiv:2203.05556). We differ
    in that the outer bins are cut at 0 and 1 too, and that each bin is standardised.
    """

    starts: Sequence[float]
    slope: float
    means: Sequence[float]
    stds: Sequence[float]


class TextSizes(NamedTuple):
    """What an encoder of texts has to know of them."""

    vocabulary: int
    """How many tokens there are, padding (0) included."""
    segments: int = 1
    """How many parts a text has."""
    words: bool = False
    """Whether its words are told apart, so that each can be labelled."""


class Declared(NamedTuple):
    """What an input's options alone say about its columns."""

    numbers: int = 0
    """How many columns of numbers."""
    sizes: tuple[int, ...] = ()
    """For each column of categories, how many values it has."""
    text: TextSizes | None = None
    """Of an input that is a text."""


class Input(ABC):
    """One named part of an example.

    A new kind of input takes its name first and has defaults for all its options, which are
    keyword-only and become options in a config.
    """

    name: str

    @abstractmethod
    def columns(self, available: Sequence[str]) -> tuple[str, ...]:
        """Name the raw columns that are read.

        Args:
            available: The columns there are, which matters for patterns before `fit`.

        Returns:
            Names of columns; those seen in training once fitted.

        Raises:
            InputError: If a pattern matches none.
        """

    @abstractmethod
    def fit(self, table: pa.Table) -> None:
        """Learn scales, vocabularies and so on.

        Args:
            table: The training part, and nothing else.

        Raises:
            InputError: If a column cannot be read, or has no value at all.
        """

    @abstractmethod
    def apply(self, table: pa.Table) -> dict[str, Any]:
        """Turn rows into arrays.

        Args:
            table: N rows, from training or later, with or without missing values.

        Returns:
            "numbers", float32 (N, width), and "categories", int64 (N, len(sizes)); one that has no
            columns is left out. Of an input that is a text "texts", what its encoder takes, by
            name, N rows each.

        Raises:
            InputError: If a column cannot be read.
        """

    @property
    @abstractmethod
    def number_names(self) -> tuple[str, ...]:
        """A name for each column of numbers."""

    @property
    def expansions(self) -> tuple[Expansion | None, ...]:
        """For each column of numbers, how to spread it over bins; None to take it as it is."""
        return (None,) * len(self.number_names)

    @property
    @abstractmethod
    def sizes(self) -> tuple[int, ...]:
        """For each column of categories, how many values it has."""

    @property
    def text(self) -> TextSizes | None:
        """What an encoder has to know, if the input is a text."""
        return None

    @property
    def notes(self) -> tuple[str, ...]:
        """What `fit` and the last `apply` saw that people should know."""
        return ()

    def declared(self) -> Declared:
        """Return the columns to expect if no missing value occurs, for a model without data.

        Raises:
            InputError: If the options do not tell; the message says which would.
        """
        raise InputError(
            f"input {self.name!r}: only data tell how wide it is, and without data a model cannot "
            f"be built; define declared() in {type(self).__name__}, or train a run"
        )

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return what was learned and the options, as JSON can hold it."""

    @abstractmethod
    def load(self, state: dict[str, Any]) -> None:
        """Take on a state; ``apply`` then gives the same arrays as where it came from."""


def with_indicator(values: NDArray[Any], missing: NDArray[np.bool_] | None) -> NDArray[np.float32]:
    """Fill NaN with 0 and append a column that says which rows had missing values.

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


def filled_note(name: str, filled: int, rows: int) -> str:
    """Say that the mean stands in for numbers, none of which were missing in training."""
    return (
        f"input {name!r}: {filled:,} of {rows:,} rows lack a number, where training lacked none; "
        "the mean stands in"
    )
