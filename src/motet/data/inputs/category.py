"""A category per row: an index into the values seen in training."""

from collections.abc import Sequence
from typing import Any, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from motet.data.inputs.base import Declared, Input
from motet.data.selection import require_columns
from motet.data.values import as_texts
from motet.options import PositiveInt, checked
from motet.problems import InputError

_UNKNOWN, _MISSING, _FIRST = 0, 1, 2


@final
class Category(Input):
    """One of a set of values per row.

    Index 0 stands for values that were rare or not seen in training, 1 for missing ones, and the
    others follow in order. Numbers and truth values are spelt as texts, so that 3 and 3.0 agree.

    Args:
        name: The input's name.
        column: Column to read; the input's name if left out.
        min_count: How often a value must occur in training to have an index of its own.
        size: Most values with an index of their own, which are 2 to size + 1; as many as occur in
            training if left out.

    Raises:
        InputError: If an option is unknown or wrong.

    Example:
        >>> job = Category("job")
        >>> job.fit(pa.table({"job": ["cook", "cook", "nurse", None, "nurse", "smith"]}))
        >>> job.apply(pa.table({"job": ["nurse", "smith", "pilot", None]}))["categories"][:, 0]
        array([3, 0, 0, 1])
        >>> job.sizes
        (4,)
    """

    @checked
    def __init__(
        self,
        name: str,
        *,
        column: str | None = None,
        min_count: PositiveInt = 2,
        size: PositiveInt | None = None,
    ) -> None:
        self.name = name
        self._column = column or name
        self._min_count = min_count
        self._size = size
        self._values: list[str] = []
        self._unknown = (0, 0)
        self._held_out: NDArray[np.int64] | None = None
        self._useless = False

    def columns(self, available: Sequence[str]) -> tuple[str, ...]:
        return (self._column,)

    def fit(self, table: pa.Table) -> None:
        texts = self._texts(table).drop_null()
        if not len(texts):
            raise InputError(
                f"{self._where} has no value in the {len(table):,} training rows; leave it out"
            )
        counts = texts.value_counts()
        often = pc.greater_equal(counts.field("counts"), self._min_count)
        values = sorted(counts.field("values").filter(often).to_pylist())
        if self._size is not None and len(values) > self._size:
            raise InputError(
                f"{self._where} has {len(values):,} values that occur at least {self._min_count} "
                f"times in training, expected at most size: {self._size}; raise size or min_count"
            )
        self._values = values

    def apply(self, table: pa.Table) -> dict[str, NDArray[Any]]:
        texts = self._texts(table)
        places = pc.index_in(texts, pa.array(self._values, pa.string())).cast(pa.int64())
        unknown = pc.and_(places.is_null(), texts.is_valid()).to_numpy()
        self._unknown = (int(unknown.sum()), len(texts))
        held_out, self._held_out = self._held_out, None
        self._useless = held_out is not None and len(held_out) > 0 and unknown[held_out].all()
        indices = pc.fill_null(pc.add(places, _FIRST), _UNKNOWN)
        indices = pc.if_else(texts.is_null(), _MISSING, indices)
        return {"categories": indices.to_numpy().reshape(-1, 1)}

    def expect(self, held_out: NDArray[np.int64]) -> None:
        """Report it if all of these rows of the next table have values that training had not.

        Args:
            held_out: Numbers of the validation and test rows.
        """
        self._held_out = held_out

    @property
    def notes(self) -> tuple[str, ...]:
        unknown, rows = self._unknown
        if not unknown:
            return ()
        if self._useless:
            return (
                f"input {self.name!r}: every validation and test row has an unseen category, so it "
                "only helps on training rows; leave it out",
            )
        return (
            f"input {self.name!r}: {unknown:,} of {rows:,} rows have a value that was rare "
            "(min_count) or unseen in training",
        )

    @property
    def number_names(self) -> tuple[str, ...]:
        return ()

    @property
    def sizes(self) -> tuple[int, ...]:
        return (_FIRST + (self._size or len(self._values)),)

    def declared(self) -> Declared:
        if self._size is None:
            raise InputError(
                f"input {self.name!r}: how many values it has is not known without data; give "
                "size, for example size: 12"
            )
        return Declared(sizes=self.sizes)

    def state(self) -> dict[str, Any]:
        return {
            "column": self._column,
            "min_count": self._min_count,
            "size": self._size,
            "values": self._values,
        }

    def load(self, state: dict[str, Any]) -> None:
        self._column, self._min_count = state["column"], state["min_count"]
        self._size, self._values = state["size"], list(state["values"])

    def _texts(self, table: pa.Table) -> pa.ChunkedArray:
        require_columns(table, [self._column], f"input {self.name!r}")
        return as_texts(table[self._column], self._where)

    @property
    def _where(self) -> str:
        return f"input {self.name!r}: column {self._column!r}"
