"""What every kind of label can do: become a target array, and name the columns of predictions.

The kinds are those of ``Task.labels``. A target is fitted on the training part; its state is plain
JSON and holds all that is needed later, options included.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from numpy.typing import NDArray


class Target(ABC):
    """The labels of one task."""

    name: str
    """The task's name."""
    notes: tuple[str, ...] = ()
    """What `fit` saw that people should know, to be printed."""

    @abstractmethod
    def columns(self, available: Sequence[str]) -> tuple[str, ...]:
        """Name the raw columns that hold the labels.

        Args:
            available: The columns there are, which matters for patterns before `fit`.

        Returns:
            Names of columns; those seen in training once fitted.

        Raises:
            InputError: If a pattern matches none.
        """

    @abstractmethod
    def fit(self, table: pa.Table) -> None:
        """Learn classes, scales and so on.

        Args:
            table: The training part, and nothing else.

        Raises:
            InputError: If the labels cannot be learned from.
        """

    @abstractmethod
    def encode(self, table: pa.Table) -> NDArray[Any]:
        """Turn labels into an array that the task's loss takes.

        Args:
            table: N rows with the label columns.

        Returns:
            Targets (N, ...), where missing labels are -100 in integers and NaN otherwise.

        Raises:
            InputError: If a label cannot be one.
        """

    @abstractmethod
    def unseen(self, table: pa.Table) -> dict[Any, int]:
        """Count the labels that training did not have, and that `encode` takes as missing."""

    def first_row(self, table: pa.Table, label: Any) -> int | None:
        """Say in which row of a table a label that `unseen` counts is first, where that helps."""
        return None

    @abstractmethod
    def predictions(
        self, value: NDArray[Any], probabilities: NDArray[Any] | None = None
    ) -> dict[str, pa.Array]:
        """Turn what a task predicts into columns.

        Args:
            value: What `Prediction.value` holds, N rows.
            probabilities: What `Prediction.probabilities` holds, shape (N, C), if anything.

        Returns:
            Columns of N rows, whose names begin with the task's.
        """

    def more_columns(self) -> list[str]:
        """Name the columns of `predictions` besides that of the task's name."""
        return [_probability(self.name, label) for label in getattr(self, "names", ())]

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return what was learned and the options, as JSON can hold it."""

    @abstractmethod
    def load(self, state: dict[str, Any]) -> None:
        """Take on a state."""


def prediction_names(target: Target, available: Sequence[str]) -> list[str]:
    """Name the columns that stand for a fitted target in the predictions of a test part."""
    return [
        target.name,
        *target.more_columns(),
        *true_columns(target.name, target.columns(available)),
    ]


def true_columns(task: str, labels: Sequence[str]) -> dict[str, str]:
    """Map the names that true labels have beside predictions to the columns they come from."""
    if len(labels) == 1:
        return {f"{task}_true": labels[0]}
    return {f"{task}_true_{label}": label for label in labels}


def _probability(task: str, label: str) -> str:
    return f"{task}_probability_{label}"


def probability_columns(
    name: str, classes: Sequence[str], probabilities: NDArray[Any] | None
) -> dict[str, pa.Array]:
    """Return one column of probabilities per class or label, float64, by name."""
    if probabilities is None:
        return {}
    columns = probabilities.astype("float64").T
    return {
        _probability(name, label): pa.array(column)
        for label, column in zip(classes, columns, strict=True)
    }
