"""A category per row: an index into the values seen in training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import pyarrow as pa
import pyarrow.compute as pc

from motet.data.inputs.base import Input, Rows
from motet.data.inputs.shapes import TableShape
from motet.data.notes import Finding, Notes
from motet.data.selection import column_of
from motet.data.values import as_texts
from motet.options import PositiveInt, checked
from motet.problems import InputError

_UNKNOWN, _MISSING, _FIRST = 0, 1, 2
_UNSEEN = Finding(
    "have a value that was rare (min_count) or unseen in training",
    if_all="every validation and test row has an unseen category, so it only helps on training "
    "rows; leave it out",
)


@dataclass
class _Seen:
    """What was observed of the training rows."""

    counts: pa.Table | None = None
    """Columns "values" and "counts"."""
    rows: int = 0


@final
class Category(Input):
    """One of a set of values per row.

    Index 0 stands for values that were rare or not seen in training, 1 for missing ones, and the
    others follow in order. Numbers and booleans are converted to text, so that 3 and 3.0 agree.

    Args:
        name: The input's name.
        column: Column to read; the input's name if left out.
        min_count: Number of training rows that a value needs for an index of its own.
        size: Maximum number of values with an index of their own, which are 2 to size + 1; as many
            as occur in training if left out.

    Raises:
        InputError: If an option is unknown or wrong.

    Example:
        >>> job = Category("job")
        >>> job.observe(pa.table({"job": ["cook", "cook", "nurse", None, "nurse", "smith"]}))
        >>> job.finish()
        >>> columns, notes = job.apply(pa.table({"job": ["nurse", "smith", "pilot", None]}))
        >>> columns["categories"][:, 0]
        array([3, 0, 0, 1])
        >>> job.shape().categories
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
        self._seen = _Seen()

    def columns(self, available: Sequence[str]) -> tuple[str, ...]:
        return (self._column,)

    def observe(self, rows: Rows) -> None:
        counts = pa.Table.from_struct_array(self._texts(rows).drop_null().value_counts())
        if self._seen.counts is not None:
            both = pa.concat_tables([self._seen.counts, counts]).group_by("values")
            counts = both.aggregate([("counts", "sum")]).rename_columns(["values", "counts"])
        self._seen.counts = counts
        self._seen.rows += len(rows)

    def finish(self) -> None:
        seen, self._seen = self._seen, _Seen()
        counts = seen.counts
        if counts is None or not len(counts):
            raise InputError(
                f"{self._where} has no value in the {seen.rows:,} training rows; remove it"
            )
        often = pc.greater_equal(counts["counts"], self._min_count)
        values = sorted(counts["values"].filter(often).to_pylist())
        if self._size is not None and len(values) > self._size:
            raise InputError(
                f"found {self._size}, but {self._where} has {len(values):,} values that occur at "
                f"least {self._min_count} times in training; raise size or min_count",
                option="size",
            )
        self._values = values

    def apply(self, rows: Rows) -> tuple[dict[str, Any], Notes]:
        texts = self._texts(rows)
        places = pc.index_in(texts, pa.array(self._values, pa.string())).cast(pa.int64())
        unseen = pc.sum(pc.and_(places.is_null(), texts.is_valid())).as_py() or 0
        indices = pc.fill_null(pc.add(places, _FIRST), _UNKNOWN)
        indices = pc.if_else(texts.is_null(), _MISSING, indices)
        columns = {"categories": indices.to_numpy().reshape(-1, 1)}
        return columns, Notes(len(rows), {_UNSEEN: unseen})

    def shape(self) -> TableShape:
        return TableShape(categories=(_FIRST + (self._size or len(self._values)),))

    def declared(self) -> TableShape:
        if self._size is None:
            raise InputError(
                "the number of values is unknown without data; give it, for example size: 12",
                option="size",
                owner=f"input {self.name!r}",
            )
        return self.shape()

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

    def _texts(self, rows: Rows) -> pa.ChunkedArray:
        return as_texts(column_of(rows, self._column, f"input {self.name!r}"), self._where)

    @property
    def _where(self) -> str:
        return f"column {self._column!r}"
