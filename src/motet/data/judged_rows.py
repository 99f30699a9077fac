"""Which rows a task is trained and evaluated on, and how much each of them counts.

Both come from columns beside the labels. The labels of a row for which the condition does not hold,
or whose weight is 0, are missing from the beginning: nothing is learned from them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from motet.conditions import Condition, columns_of, parse
from motet.data.conditions import holds
from motet.data.selection import column_of, require_columns
from motet.data.values import as_floats
from motet.problems import InputError, RowError


@dataclass(frozen=True)
class JudgedRows:
    """What a task reads of a table beside its labels.

    Args:
        task: Name of the task.
        row_weight: Column of weights, if rows have some.
        rows: The condition, if there is one.
    """

    task: str
    row_weight: str | None = None
    rows: str | None = None

    @staticmethod
    def of(task: str, options: Mapping[str, Any]) -> "JudgedRows":
        """Return what the options of a task give."""
        return JudgedRows(task, options.get("row_weight"), options.get("rows"))

    @property
    def any(self) -> bool:
        """Whether the task reads anything beside its labels."""
        return self.row_weight is not None or self.rows is not None

    @cached_property
    def condition(self) -> Condition | None:
        """The condition, if there is one."""
        return None if self.rows is None else parse(self.rows)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that are read."""
        weight = () if self.row_weight is None else (self.row_weight,)
        return (*weight, *(() if self.condition is None else columns_of(self.condition)))

    def holds(self, table: pa.Table) -> NDArray[np.bool_]:
        """Return which rows the task is evaluated on, (N,), as far as their labels are there.

        A column that is missing or of the wrong type is an `InputError` that names the option.
        """
        owner = f"task {self.task!r}"
        kept = np.ones(len(table), bool)
        if self.row_weight is not None:
            require_columns(table, [self.row_weight], owner, "row_weight")
            kept = self._read(table) != 0
        if self.condition is not None:
            kept = kept & holds(self.condition, table, owner)
        return kept

    def require_some(self, found: bool) -> None:
        """Check that the task is trained on some row.

        Args:
            found: Whether `holds` is true of any training row.

        Raises:
            InputError: If the condition holds for none, or every weight is 0.
        """
        if found or not self.any:
            return
        option, message = "rows", f"{self.rows}, which holds for no training row"
        if self.rows is None:
            option, message = "row_weight", f"{self.row_weight}, which is 0 in every training row"
        raise InputError(
            f"found {message}; correct it, or remove the task",
            option=option,
            owner=f"task {self.task!r}",
        )

    def blanked(self, table: pa.Table, labels: Sequence[str]) -> pa.Table:
        """Return a table whose labels are missing in rows that the task is not evaluated on.

        Args:
            table: N rows.
            labels: Columns of the task's labels.
        """
        if not self.any:
            return table
        rows = pa.array(np.arange(len(table)), mask=~self.holds(table))
        for name in labels:
            place = table.schema.get_field_index(name)
            table = table.set_column(place, name, table[name].take(rows))
        return table

    def weights(self, table: pa.Table, labelled: NDArray[np.bool_]) -> NDArray[np.float32] | None:
        """Return how much each row counts, None if rows have no weights.

        Args:
            table: N rows.
            labelled: Which rows have a label; the weights of others do not matter, and become 0.

        Raises:
            RowError: If a labelled row has no weight, or one that is negative or not finite.
        """
        if self.row_weight is None:
            return None
        found = self._read(table)
        wrong = labelled & ~((found >= 0) & (found < np.inf))
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            weight = "no weight" if np.isnan(found[row]) else f"the weight {found[row]:g}"
            raise RowError(
                f"row_weight: column {self.row_weight!r} has {weight} in",
                row,
                ", which has a label; expected a number >= 0, where 0 leaves the row out",
                owner=f"task {self.task!r}",
            )
        return np.where(labelled, found, 0).astype(np.float32)

    def state(self) -> dict[str, Any]:
        """Return the options, as JSON can hold them."""
        return {"row_weight": self.row_weight, "rows": self.rows}

    def _read(self, table: pa.Table) -> NDArray[np.float64]:
        assert self.row_weight is not None
        try:
            column = column_of(table, self.row_weight, f"task {self.task!r}")
            return as_floats(column, f"column {self.row_weight!r}")
        except InputError as error:
            owner = f"task {self.task!r}"
            raise InputError(error.message, option="row_weight", owner=owner) from None
