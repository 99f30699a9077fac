"""Labels that are the relevance of a row among those of its query."""

from collections.abc import Collection, Mapping
from typing import Any, Self, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from motet.data.inputs.base import Input
from motet.data.selection import require_columns
from motet.data.targets.base import NO_INPUTS, Target
from motet.data.targets.classes import MISSING
from motet.data.targets.numbered import numbered
from motet.data.values import as_floats, refuse_infinite
from motet.problems import InputError, RowError


@final
class RelevanceTarget(Target):
    """Relevance, and the number of the query, counted from 0 in the order of the rows given.

    Targets are (N, 2), NaN where either is missing: such a row is in no list. Predictions are
    scores, higher for rows that should come first.

    Args:
        name: The task's name.
        column: Column of the relevance; the task's name if left out.
        query: Column that names the query.

    Example:
        >>> clicks = RelevanceTarget("click", query="search")
        >>> clicks.encode(pa.table({"click": [1, 0, None, 2], "search": ["a", "b", "a", "a"]}))
        array([[ 1.,  0.],
               [ 0.,  1.],
               [nan, nan],
               [ 2.,  0.]], dtype=float32)
    """

    def __init__(self, name: str, *, column: str | None = None, query: str = "query") -> None:
        super().__init__(name, column=column)
        self.query = query

    @classmethod
    def for_task(cls, name: str, options: Mapping[str, Any], accepted: Collection[str]) -> Self:
        """Make the target of a task.

        Returns:
            The target.

        Raises:
            InputError: If the options name no column of queries.
        """
        query = options.get("query")
        if query is None:
            raise InputError(
                "missing; expected the column that names the query, whose rows are one list",
                option="query",
            )
        return cls(name, column=options.get("column"), query=query)

    def fit(self, table: pa.Table, inputs: Mapping[str, Input] = NO_INPUTS) -> None:
        encoded = self.encode(table)
        queries = encoded[~np.isnan(encoded[:, 1]), 1].astype(np.int64)
        sizes = np.bincount(queries)
        sizes = sizes[sizes > 0]
        if not len(sizes):
            raise InputError(
                f"the {len(table):,} training rows have no relevance in {self.column!r} together "
                f"with a query in {self.query!r}; check the columns, or remove the task"
            )
        if sizes.max() < 2:
            raise InputError(
                f"each of the {len(sizes):,} queries in {self.query!r} has one training row, so "
                "there is nothing to put in order; name the column whose values repeat for the "
                "rows of a list",
                option="query",
            )
        self.notes = tuple(self._notes(table, sizes))

    def encode(self, table: pa.Table, inputs: Mapping[str, Input] = NO_INPUTS) -> NDArray[Any]:
        require_columns(table, [self.column], f"task {self.name!r}")
        require_columns(table, [self.query], f"task {self.name!r}", "query")
        relevance = as_floats(table[self.column], self._where)
        refuse_infinite(relevance, self._where)
        if (relevance < 0).any():
            place = int((relevance < 0).argmax())
            raise RowError(
                f"{self._where}: found the relevance {relevance[place]:g} in",
                place,
                ", expected numbers from 0 on, or a missing value",
            )
        lists, _ = numbered(table[self.query], f"column {self.query!r}")
        encoded = np.stack([relevance, lists], axis=1)
        encoded[np.isnan(relevance) | (lists == MISSING)] = np.nan
        return encoded.astype(np.float32)

    @property
    def summary(self) -> str:
        return f"by {self.query!r}"

    @property
    def beside(self) -> tuple[str, ...]:
        return (self.query,)

    def groups(self, encoded: NDArray[Any]) -> NDArray[Any]:
        return encoded[:, 1]

    def predictions(
        self,
        value: NDArray[Any],
        probabilities: NDArray[Any] | None = None,
        table: pa.Table | None = None,
        inputs: Mapping[str, Input] = NO_INPUTS,
    ) -> dict[str, pa.Array]:
        return {self.name: pa.array(value.astype(np.float64).reshape(len(value)))}

    def state(self) -> dict[str, Any]:
        return {"column": self.column, "query": self.query}

    def load(self, state: dict[str, Any]) -> None:
        self.column, self.query = state["column"], state["query"]

    def _notes(self, table: pa.Table, sizes: NDArray[np.int64]) -> list[str]:
        """Report the lists, those with nothing to put in order, and rows in no list."""
        single = int((sizes == 1).sum())
        alone = f"; {single:,} of them with one row have nothing to put in order" if single else ""
        size = (
            f"{sizes.min():,}"
            if sizes.min() == sizes.max()
            else f"{sizes.min():,} to {sizes.max():,}"
        )
        found = [
            f"task {self.name!r}: {len(sizes):,} lists of {size} training rows by "
            f"{self.query!r}{alone}"
        ]
        lost = table[self.query].is_null().to_numpy() & table[self.column].is_valid().to_numpy()
        if lost.any():
            found.append(
                f"task {self.name!r}: {int(lost.sum()):,} training rows have a relevance and no "
                f"{self.query!r}, so they are left out"
            )
        return found
