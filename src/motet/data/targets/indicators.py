"""Labels of which a row has any number: one 0 or 1 for each."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, Self, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from motet.data.inputs.base import Input
from motet.data.list_texts import SeparatorCheck, read_column
from motet.data.selection import listed, matching, require_columns
from motet.data.targets.base import NO_INPUTS, Target, probability_columns
from motet.data.values import (
    Floats,
    as_floats,
    as_matrix,
    described,
    is_list,
    is_number,
    rows_of_values,
)
from motet.problems import InputError, RowError, hint, shown

MOST_LABELS = 1000


@final
class IndicatorTarget(Target):
    """Any number of C labels per row, as an array (N, C) of 0, 1, and NaN where missing.

    They are read from one column of lists of texts, the labels a row has (null: not labelled;
    empty: has none), or of texts, as in CSV files: labels between spaces, or between a
    ``separator``, or lists in JSON, of which ``[]`` is the empty one; from one column of lists of C
    zeros and ones; or from C columns of zeros and ones or truth values. Predictions are the same
    for all: ``<task>``, the list of labels predicted, and ``<task>_probability_<label>``.

    Args:
        name: The task's name.
        column: Column of lists to read; the task's name if left out.
        columns: Columns to read instead, one per label: a pattern such as "tag_*", or their names.
        labels: Names of the labels, in order, or how many there are; learned from the training
            rows if left out.
        separator: What is between the labels of a text, such as ``,``; white space if left out.

    Raises:
        InputError: If the separator is empty.

    Example:
        >>> tags = IndicatorTarget("tags")
        >>> tags.fit(pa.table({"tags": [["red"], ["red", "big"], None]}))
        >>> tags.names
        ('big', 'red')
        >>> tags.encode(pa.table({"tags": [["big"], None]}))
        array([[ 1.,  0.],
               [nan, nan]], dtype=float32)
    """

    def __init__(
        self,
        name: str,
        *,
        column: str | None = None,
        columns: str | Sequence[str] | None = None,
        labels: int | Sequence[str] | None = None,
        separator: str | None = None,
    ) -> None:
        super().__init__(name, column=column)
        self._wanted = columns
        self._labels = labels
        self._columns: tuple[str, ...] = (self.column,) if columns is None else ()
        # several columns are known once fitted
        self._layout: Literal["texts", "lists", "columns"] = "columns" if columns else "texts"
        self._separator = separator
        self._check = SeparatorCheck(separator, f"task {name!r}")
        self._separated = False
        self._names: tuple[str, ...] = ()

    @classmethod
    def for_task(cls, name: str, options: Mapping[str, Any], accepted: Collection[str]) -> Self:
        column, columns = options.get("column"), options.get("columns")
        labels, separator = options.get("classes"), options.get("separator")
        return cls(name, column=column, columns=columns, labels=labels, separator=separator)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the labels, in order."""
        return self._names

    def columns(self, available: Sequence[str]) -> tuple[str, ...]:
        if self._columns or self._wanted is None:
            return self._columns
        return matching(self._wanted, available, f"task {self.name!r}")

    def fit(self, table: pa.Table, inputs: Mapping[str, Input] = NO_INPUTS) -> None:
        if self._wanted is not None:
            self._columns = matching(self._wanted, table.column_names, f"task {self.name!r}")
        require_columns(table, self._columns, f"task {self.name!r}")
        if self._layout != "columns":
            self._separated = pa.types.is_string(table[self._columns[0]].type)
            self._layout = self._layout_in(table)
            self._check.add(table[self._columns[0]], self._where)
        self._names = self._names_in(table)
        self._check_names()
        strange = self.unseen(table)
        if strange:
            label = next(iter(strange))
            raise InputError(
                f"{self._where} has the label {shown(label)}, which classes does not name; "
                f"{hint(label, self.names)}"
            )
        self._look_at(self.encode(table))

    def encode(self, table: pa.Table, inputs: Mapping[str, Input] = NO_INPUTS) -> NDArray[Any]:
        require_columns(table, self._columns, f"task {self.name!r}")
        if self._layout == "texts":
            return self._from_texts(self._lists_of_texts(table))
        if self._layout == "lists":
            values: Floats = as_matrix(table[self._columns[0]], self._where, len(self.names))
        else:
            columns = [as_floats(table[name], f"column {name!r}") for name in self._columns]
            values = np.column_stack(columns)
        self._refuse_others(values)
        return values.astype(np.float32)

    def unseen(self, table: pa.Table) -> dict[Any, int]:
        if self._layout != "texts":
            return {}
        texts = self._lists_of_texts(table).flatten().drop_null()
        counts = texts.value_counts().to_pylist()
        return {c["values"]: c["counts"] for c in counts if c["values"] not in self.names}

    def predictions(
        self,
        value: NDArray[Any],
        probabilities: NDArray[Any] | None = None,
        table: pa.Table | None = None,
        inputs: Mapping[str, Input] = NO_INPUTS,
    ) -> dict[str, pa.Array]:
        chosen = value > 0
        ends = np.concatenate([[0], chosen.sum(axis=1).cumsum()]).astype(np.int32)
        texts = pa.array(self.names, pa.string()).take(pa.array(np.nonzero(chosen)[1]))
        lists = pa.ListArray.from_arrays(pa.array(ends), texts)
        return {self.name: lists, **probability_columns(self.name, self.names, probabilities)}

    def learned(self) -> dict[str, Any]:
        return {"classes": self.names}

    def class_counts(self, encoded: NDArray[Any]) -> list[int]:
        return [int(count) for count in (encoded == 1).sum(axis=0)]

    @property
    def every_class_scores(self) -> bool:
        """All do."""
        return True

    def state(self) -> dict[str, Any]:
        return {
            "columns": list(self._columns),
            "layout": self._layout,
            "names": list(self.names),
            "separator": self._separator,
        }

    def load(self, state: dict[str, Any]) -> None:
        self._columns, self._layout = tuple(state["columns"]), state["layout"]
        self._names, self._separator = tuple(state["names"]), state.get("separator")

    # Reading -------------------------------------------------------------------------------------

    def _layout_in(self, table: pa.Table) -> Literal["texts", "lists"]:
        kind = table[self._columns[0]].type
        found = _layout_of(kind)
        if found is not None:
            return found
        raise InputError(
            f"{self._where} holds {described(kind)}, expected lists of labels (texts), or of zeros "
            'and ones; for labels in several columns give columns, e.g. columns: "tag_*"'
        )

    def _names_in(self, table: pa.Table) -> tuple[str, ...]:
        if self._labels is not None and not isinstance(self._labels, int):
            return tuple(self._labels)
        if self._layout == "columns":
            return self._columns
        if self._layout == "texts":
            texts = self._lists_of_texts(table).flatten().drop_null()
            return tuple(sorted(texts.unique().to_pylist()))
        width = as_matrix(table[self._columns[0]], self._where).shape[1]
        return tuple(str(place) for place in range(width))

    def _lists_of_texts(self, table: pa.Table) -> pa.Array:
        column = table[self._columns[0]]
        if pa.types.is_string(column.type):
            column = read_column(column, self._separator)
        if column.null_count < len(column) and _layout_of(column.type) is None:
            raise InputError(
                f"{self._where} holds {described(column.type)}, expected lists of texts as in "
                "training"
            )
        return column.cast(pa.list_(pa.string())).combine_chunks()

    def _from_texts(self, lists: pa.Array) -> NDArray[np.float32]:
        there = lists.is_valid().to_numpy(zero_copy_only=False)
        found = np.full((len(there), len(self.names)), np.nan, np.float32)
        found[there] = 0
        places = pc.index_in(lists.flatten(), pa.array(self.names, pa.string()))
        known = places.is_valid().to_numpy(zero_copy_only=False)
        found[rows_of_values(lists)[known], places.drop_null().to_numpy()] = 1
        return found

    # Checks --------------------------------------------------------------------------------------

    def _check_names(self) -> None:
        expected = self._labels if isinstance(self._labels, int) else None
        if self._layout == "columns" and len(self.names) != len(self._columns):
            expected = len(self._columns)
        if expected is not None and len(self.names) != expected:
            raise InputError(
                f"{self._where} has {len(self.names)} labels ({listed(self.names)}), expected "
                f"{expected}; correct or remove classes"
            )
        if not self.names:
            raise InputError(
                f"{self._where} has no label in the training rows; check it, or remove the task"
            )
        if len(self.names) > MOST_LABELS and self._labels is None:
            raise InputError(
                f"{self._where} has {len(self.names):,} different labels, expected at most "
                f"{MOST_LABELS:,}; if they are right, list them in classes"
            )

    def _refuse_others(self, values: Floats) -> None:
        wrong = ~(np.isnan(values) | (values == 0) | (values == 1))
        if wrong.any():
            row, place = np.argwhere(wrong)[0]
            raise RowError(
                f"{self._where}: label {self.names[place]!r} is {values[row, place]:g} in",
                row,
                ", expected 0 or 1, or nothing where it is not known",
            )

    def _look_at(self, found: NDArray[Any]) -> None:
        if np.isnan(found).all():
            raise InputError(
                f"{self._where} has no label in the {len(found):,} training rows; check it, or "
                "remove the task"
            )
        never = [
            name
            for name, most in zip(self.names, np.nansum(found, axis=0), strict=True)
            if not most
        ]
        self.notes = (
            (f"task {self.name!r}: no training row has {listed(map(repr, never))}",)
            if never
            else ()
        )
        if self._separated:
            note = self._check.note(self._where)
            if self._separator is None:
                note = f"{self._where} holds texts, read as labels separated by spaces"
            if note is not None:
                self.notes = (f"task {self.name!r}: {note}", *self.notes)

    @property
    def _where(self) -> str:
        if self._layout == "columns":
            return "the task"
        return f"column {self._columns[0]!r}"


def _layout_of(kind: pa.DataType) -> Literal["texts", "lists"] | None:
    """Return what a column holds: labels as texts, or lists of zeros and ones; None of others."""
    inner = kind.value_type if is_list(kind) else kind
    if pa.types.is_string(inner) or (is_list(kind) and pa.types.is_null(inner)):
        return "texts"
    numbers = is_number(inner) or pa.types.is_boolean(inner)
    return "lists" if is_list(kind) and numbers else None
