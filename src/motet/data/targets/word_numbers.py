"""Labels that are a list of numbers per row, one for each word."""

from collections.abc import Collection, Mapping
from typing import Any, Self, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from motet.data.inputs.base import Input
from motet.data.targets.base import NO_INPUTS, Target
from motet.data.targets.scaling import learn_scale, standardised
from motet.data.targets.word_lists import (
    check_lengths,
    labelled_text,
    lengths_of,
    lists_of,
    padded,
    read_lists,
)
from motet.data.values import as_floats, described, is_list, refuse_infinite, rows_of_values
from motet.data.word_labels import numbered_text
from motet.problems import InputError, RowError


@final
class WordNumberTarget(Target):
    """Numbers (N, L), standardised by the training labels, NaN where missing and after the words.

    A column holds lists of numbers, or texts of numbers separated by spaces, as in CSV files (see
    `motet.data.list_texts`). A row that is null is not labelled; an entry that is null is a word
    without a label. Predictions are ``<task>``, a list of numbers in original units.

    Args:
        name: The task's name.
        column: Column to read; the task's name if left out.
        input: Name of the text whose words have the numbers; the one that has words if left out.

    Example:
        >>> stress = WordNumberTarget("stress")
        >>> stress.fit(pa.table({"stress": [[1.0, 3.0], None, [None, 1.0, 3.0]]}))
        >>> stress.encode(pa.table({"stress": [[2.0], [1.0, None]]}))
        array([[ 0., nan],
               [-1., nan]], dtype=float32)
        >>> stress.predictions(np.array([[1.5, np.nan]]))["stress"].to_pylist()
        [[1.5]]
    """

    _mean, _std = 0.0, 1.0

    reads_inputs = True

    def __init__(self, name: str, *, column: str | None = None, input: str | None = None) -> None:
        super().__init__(name, column=column)
        self.input = input

    @classmethod
    def for_task(cls, name: str, options: Mapping[str, Any], accepted: Collection[str]) -> Self:
        return cls(name, column=options.get("column"), input=options.get("input"))

    @classmethod
    def labelled_text(cls, table: pa.Table, column: str) -> str | None:
        found = numbered_text(table, column)
        return found if found is not None and pa.types.is_string(table[found].type) else None

    def fit(self, table: pa.Table, inputs: Mapping[str, Input] = NO_INPUTS) -> None:
        labelled_text(self.name, self.input, inputs)  # an error if there are no words to label
        mean, std = learn_scale(self._numbers(self._lists(table)), self._where)
        self._mean, self._std = float(mean), float(std)

    def encode(self, table: pa.Table, inputs: Mapping[str, Input] = NO_INPUTS) -> NDArray[Any]:
        lists = self._lists(table)
        lengths, text = lengths_of(lists), labelled_text(self.name, self.input, inputs)
        if text is not None:
            check_lengths(lengths, table, text, self._where, "number")
        rows = padded(self._numbers(lists), lengths, np.nan, np.float64)
        return standardised(rows, self._mean, self._std, self._where)

    def learned(self) -> dict[str, Any]:
        return {"scaling": (self._mean, self._std)}

    def predictions(
        self,
        value: NDArray[Any],
        probabilities: NDArray[Any] | None = None,
        table: pa.Table | None = None,
        inputs: Mapping[str, Input] = NO_INPUTS,
    ) -> dict[str, pa.Array]:
        there = ~np.isnan(value)
        return {self.name: lists_of(there.sum(axis=1), pa.array(value[there].astype(np.float64)))}

    def state(self) -> dict[str, Any]:
        return {
            "column": self.column,
            "input": self.input,
            "mean": self._mean,
            "std": self._std,
        }

    def load(self, state: dict[str, Any]) -> None:
        self.column, self.input = state["column"], state["input"]
        self._mean, self._std = state["mean"], state["std"]

    def _lists(self, table: pa.Table) -> pa.Array:
        column = read_lists(table, self.column, self.name)
        if not is_list(column.type):
            raise InputError(
                f"{self._where} holds {described(column.type)}, expected lists of numbers, one per "
                "word, or texts of numbers separated by spaces"
            )
        return column.combine_chunks()

    def _numbers(self, lists: pa.Array) -> NDArray[np.float64]:
        """Return the numbers of all lists, one after the other."""
        try:
            numbers = as_floats(pa.chunked_array([lists.flatten()]), self._where)
            refuse_infinite(numbers, self._where)
        except RowError as error:  # its row is the place of a number among those of all lists
            raise error.of(rows_of_values(lists)) from None
        return numbers
