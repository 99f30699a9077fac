"""How a finished run reads rows: what the model takes of them, and which tasks they serve.

A run on one table has a `TableReader`; one on several sources, each with inputs of its own, has the
one in `motet.run.source_readers`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, final

import pyarrow as pa
from numpy.typing import NDArray

from motet.data.arrays import ArrayData
from motet.data.batches import Data
from motet.data.notes import Notes
from motet.data.preprocessing import Preprocessing
from motet.data.row_names import RowName, named
from motet.model import MultiTaskModel
from motet.problems import InputError


class Reader(Protocol):
    """Turns raw rows into what the model of a run takes.

    A source is named by "" where the run has one table.
    """

    preprocessing: Preprocessing
    model: MultiTaskModel

    def served(self, table: pa.Table, tasks: Sequence[str]) -> dict[str, str]:
        """Return the source whose inputs each task is predicted from, if rows have its columns."""

    def labelled(
        self, table: pa.Table, chosen: list[str], source: str | None
    ) -> tuple[list[str], str]:
        """Return the tasks among those chosen that labelled rows can have, and their source.

        Args:
            table: The rows, or none with their columns.
            chosen: The tasks.
            source: The source that the user named, if any.
        """

    def only(self, source: str | None) -> str:
        """Return the source to read rows as: the one that is named, or the only one."""

    def as_split(self, table: pa.Table, source: str) -> pa.Table:
        """Return rows with the names of columns that they were split by."""

    def view(self, table: pa.Table, source: str) -> pa.Table:
        """Return rows with the columns that the inputs of a source read."""

    def inputs(
        self, name_row: RowName, view: pa.Table, source: str = ""
    ) -> tuple[dict[str, Any], Mapping[str, Notes]]:
        """Return what the model takes of a view, and notes on it by input."""

    def data(
        self,
        inputs: dict[str, NDArray[Any]],
        targets: dict[str, Any],
        row_weights: Mapping[str, Any] | None = None,
    ) -> Data:
        """Return rows on the device of the model."""

    def batch_size(self, source: str) -> int:
        """Return the rows per forward pass."""


@final
class TableReader:
    """Reads rows of one table, which serve all tasks."""

    def __init__(self, preprocessing: Preprocessing, model: MultiTaskModel) -> None:
        self.preprocessing, self.model = preprocessing, model

    def served(self, table: pa.Table, tasks: Sequence[str]) -> dict[str, str]:
        return dict.fromkeys(tasks, "")

    def labelled(
        self, table: pa.Table, chosen: list[str], source: str | None
    ) -> tuple[list[str], str]:
        return chosen, self.only(source)

    def only(self, source: str | None) -> str:
        if source is not None:
            raise InputError(f"source: found {source!r}, but the run has one table; leave it out")
        return ""

    def as_split(self, table: pa.Table, source: str) -> pa.Table:
        return table

    def view(self, table: pa.Table, source: str) -> pa.Table:
        return table

    def inputs(
        self, name_row: RowName, view: pa.Table, source: str = ""
    ) -> tuple[dict[str, Any], Mapping[str, Notes]]:
        with named(name_row):
            return self.preprocessing.apply(view)

    def data(
        self,
        inputs: dict[str, NDArray[Any]],
        targets: dict[str, Any],
        row_weights: Mapping[str, Any] | None = None,
    ) -> Data:
        device = next(self.model.parameters()).device
        return ArrayData(inputs, targets, row_weights).to(device)

    def batch_size(self, source: str) -> int:
        return batch_size(bool(self.preprocessing.shapes().own))


def batch_size_of(inputs: Mapping[str, Any]) -> int:
    """Return the rows per forward pass: texts and the like have hundreds of states each."""
    return batch_size(not set(inputs) <= {"numbers", "categories", "sets"})


def batch_size(branches: bool) -> int:
    """Return the rows per forward pass of a run, with inputs that have their own encoder or not."""
    return 256 if branches else 4096
