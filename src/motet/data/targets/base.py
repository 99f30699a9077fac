"""The base of targets: from label columns to target arrays, and to columns of predictions.

The kinds are those of ``Task.labels``, by the names in ``motet.registry.LABELS``. A target is
fitted on the training rows; its state is plain JSON and holds all that is needed later, options
included. Your own kind needs two methods, ``encode`` and ``predictions``, and whatever else differs
from one column per task with nothing learned: ``motet.register("label", name, MyTarget)``.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Self

import pyarrow as pa
from numpy.typing import NDArray

from motet.data.inputs.base import Input

NO_INPUTS: Mapping[str, Input] = MappingProxyType({})


class Target(ABC):
    """The labels of one task.

    Args:
        name: The task's name.
        column: Column to read; the task's name if left out.
    """

    notes: tuple[str, ...] = ()
    """What users should know about the labels that `fit` read."""
    distinct: ClassVar[bool] = False
    """Whether `fit` learns the same from each label once, however often it occurs."""
    reads_inputs: ClassVar[bool] = False
    """Whether `fit` reads the columns of the inputs, too."""

    def __init__(self, name: str, *, column: str | None = None) -> None:
        self.name = name
        self.column = column or name

    @classmethod
    def for_task(cls, name: str, options: Mapping[str, Any], accepted: Collection[str]) -> Self:
        """Make the target of a task, not fitted yet.

        Args:
            name: The task's name.
            options: The task's options in the config.
            accepted: Names of all arguments of the task's class.

        Returns:
            The target.
        """
        return cls(name, column=options.get("column"))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes, labels or tags, in order; none if they have none."""
        return ()

    @property
    def summary(self) -> str:
        """What its labels are, in a word or two, once fitted."""
        return f"{len(self.names)} classes" if self.names else "number"

    def columns(self, available: Sequence[str]) -> tuple[str, ...]:
        """Name the raw columns that hold the labels.

        Args:
            available: The columns there are, which matters for patterns before `fit`.

        Returns:
            Names of columns; those seen in training once fitted.
        """
        return (self.column,)

    @property
    def _where(self) -> str:
        """What messages call the labels."""
        return f"column {self.column!r}"

    # For `motet init` ----------------------------------------------------------------------------

    @classmethod
    def has_strata(cls, table: pa.Table, column: str) -> bool:
        """Return whether each row has one class at most, so that rows can be split class by class.

        Args:
            table: The rows.
            column: Column of the labels.
        """
        return False

    @classmethod
    def labelled_text(cls, table: pa.Table, column: str) -> str | None:
        """Find the texts whose words, separated by spaces, have a label each.

        Args:
            table: The rows.
            column: Column of the labels.

        Returns:
            Name of the column of texts; None if there is none.
        """
        return None

    # From columns to arrays ----------------------------------------------------------------------

    def fit(self, table: pa.Table, inputs: Mapping[str, Input] = NO_INPUTS) -> None:  # noqa: B027
        """Learn classes, scales and so on.

        Args:
            table: The training rows, and nothing else.
            inputs: The fitted inputs by name, if labels belong to some; none if they are unknown.
        """

    @abstractmethod
    def encode(self, table: pa.Table, inputs: Mapping[str, Input] = NO_INPUTS) -> NDArray[Any]:
        """Turn labels into an array that the task's loss takes.

        Args:
            table: N rows with the label columns.
            inputs: As for `fit`.

        Returns:
            Targets (N, ...), where missing labels are -100 in integers and NaN otherwise.

        Raises:
            InputError: If a label is not valid.
        """

    def learned(self) -> dict[str, Any]:
        """Return options of the task that the labels determine, such as its classes."""
        return {}

    @property
    def beside(self) -> tuple[str, ...]:
        """Columns that `encode` reads in addition to those of the labels."""
        return ()

    def groups(self, encoded: NDArray[Any]) -> NDArray[Any] | None:
        """Return which rows belong together, so that no split may separate them.

        Args:
            encoded: What `encode` returned.

        Returns:
            Numbers of the groups (N,), NaN where a row stands alone; None if all do.
        """
        return None

    def unseen(self, table: pa.Table) -> dict[Any, int]:
        """Count the labels that training did not have, and that `encode` takes as missing."""
        return {}

    def first_row(self, table: pa.Table, label: Any) -> int | None:
        """Return the first row of a table with a label that `unseen` counts, where that helps."""
        return None

    # Counts --------------------------------------------------------------------------------------

    def class_counts(self, encoded: NDArray[Any]) -> list[int]:
        """Count the encoded labels of each of ``names``; none where they cannot be counted."""
        return []

    def only_class(self, encoded: NDArray[Any]) -> str | None:
        """Name the class of all encoded labels, if they have one, so that no score makes sense."""
        return None

    @property
    def every_class_scores(self) -> bool:
        """Whether few labels of a single class make the task's score noisy."""
        return False

    # Predictions ---------------------------------------------------------------------------------

    @abstractmethod
    def predictions(
        self,
        value: NDArray[Any],
        probabilities: NDArray[Any] | None = None,
        table: pa.Table | None = None,
        inputs: Mapping[str, Input] = NO_INPUTS,
    ) -> dict[str, pa.Array]:
        """Turn what a task predicts into columns.

        Args:
            value: What `Prediction.value` holds, N rows.
            probabilities: What `Prediction.probabilities` holds, shape (N, C), if anything.
            table: The rows that were predicted, if they are known.
            inputs: As for `fit`.

        Returns:
            Columns of N rows, whose names begin with the task's.
        """

    def more_columns(self) -> list[str]:
        """Name the columns of `predictions` besides that of the task's name."""
        return [_probability(self.name, label) for label in self.names]

    def true_columns(self, available: Sequence[str]) -> dict[str, str]:
        """Map the names of true labels next to predictions to the columns that they come from."""
        labels = self.columns(available)
        if len(labels) == 1:
            return {f"{self.name}_true": labels[0]}
        return {f"{self.name}_true_{label}": label for label in labels}

    def prediction_names(self, available: Sequence[str]) -> list[str]:
        """Name the columns of predictions and true labels, once fitted."""
        return [self.name, *self.more_columns(), *self.true_columns(available)]

    # JSON ----------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return the options and what was learned, as JSON can hold it."""
        return {"column": self.column}

    def load(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        self.column = state["column"]


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
