"""A set of values per row, such as the tags of an article: indices into the frequent values."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from motet.data.inputs.base import Input, Rows
from motet.data.inputs.frequent_values import ValueCounts, indices_of, unknown_size
from motet.data.inputs.shapes import SetShape
from motet.data.list_texts import SeparatorCheck, read_column
from motet.data.notes import Finding, Notes
from motet.data.selection import column_of
from motet.data.values import as_texts, described, is_list, rows_of_values
from motet.options import PositiveInt, checked
from motet.problems import InputError

_PADDING, _MISSING, _UNKNOWN, _FIRST = 0, 1, 2, 3
_SIZE = 10_000
_UNSEEN = Finding(
    "have a value that was rare (min_count, size) or unseen in training",
    if_all="every validation and test row has an unseen value",
)


@dataclass
class _Seen:
    """What was observed of the training rows."""

    counts: ValueCounts = field(default_factory=ValueCounts)
    rows: int = 0


@final
class Set(Input):
    """A set of values per row: their order and repetitions do not count.

    A column holds lists, or texts, as in a CSV file: values between a ``separator``, or, without
    one, between spaces, such as ``red big``; or lists in JSON, ``["red", "big"]``. Texts with
    commas, semicolons or bars need a separator; ``separator: ' '`` keeps these in the values.
    Numbers are converted to text. In the network each value is a vector, and a set their mean or
    sum; an empty set is zeros, and a missing one has a vector that stands for that. Values that
    were rare or not seen in training share the index of unknown ones.

    Args:
        name: The input's name.
        column: Column to read; the input's name if left out.
        separator: What is between the values of a text, such as ``,`` or ``|``; white space around
            values is removed.
        min_count: Number of training rows that a value needs for an index of its own.
        size: Maximum number of values with an index of their own, the most frequent; 10,000 if left
            out.
        pool: Whether a set is the mean of the vectors of its values, or their sum, which grows with
            their number.

    Raises:
        InputError: If an option is unknown or wrong.

    Example:
        >>> tags = Set("tags", min_count=1)
        >>> tags.observe(pa.table({"tags": [["red", "big"], ["red"], []]}))
        >>> tags.finish()
        >>> tags.apply(pa.table({"tags": [["big", "big", "new"], None]}))[0][0:2]
        tensor([[2, 3],
                [1, 0]])
    """

    @checked
    def __init__(
        self,
        name: str,
        *,
        column: str | None = None,
        separator: str | None = None,
        min_count: PositiveInt = 2,
        size: PositiveInt | None = None,
        pool: Literal["mean", "sum"] = "mean",
    ) -> None:
        self._check = SeparatorCheck(separator, f"input {name!r}")
        self.name = name
        self._column = column or name
        self._separator, self._pool = separator, pool
        self._min_count, self._size = min_count, size
        self._values: list[str] = []
        self._seen = _Seen()

    def columns(self, available: Sequence[str]) -> tuple[str, ...]:
        return (self._column,)

    def observe(self, rows: Rows) -> None:
        column = column_of(rows, self._column, f"input {self.name!r}")
        self._check.add(column, self._where)
        places, texts, _ = self._members(rows)
        once = pa.table({"places": places, "values": texts}).group_by(["places", "values"])
        values = once.aggregate([])["values"]
        advice = "to count; check the separator, or leave the column out"
        self._seen.counts.add(values, self._where, advice)
        self._seen.rows += len(rows)

    def finish(self) -> None:
        seen, self._seen = self._seen, _Seen()
        if not len(seen.counts):
            raise InputError(
                f"{self._where} has no value in the {seen.rows:,} training rows; remove it"
            )
        note = self._check.note(self._where)
        self.notes = () if note is None else (f"input {self.name!r}: {note}",)
        ranked, size = seen.counts.frequent(self._min_count), self._size or _SIZE
        self._values = sorted(ranked[:size])
        if len(ranked) > size:
            self.notes += (
                f"input {self.name!r}: the {size:,} most frequent of {len(ranked):,} values that "
                f"occur in at least {self._min_count} rows have an index of their own (size)",
            )

    def apply(self, rows: Rows) -> tuple[Any, Notes]:
        """Turn rows into indices, each row with its own number of them."""
        from torch import from_numpy  # here, as checking a config needs no torch

        from motet.data.ragged import Ragged

        places, texts, missing = self._members(rows)
        found = indices_of(self._values, texts, _FIRST, _UNKNOWN)
        indices = np.concatenate([found.to_numpy(), np.full(missing.sum(), _MISSING)])
        at = np.concatenate([places, np.flatnonzero(missing)])
        whole = np.unique(np.stack([at, indices.astype(np.int64)]), axis=1)  # each value once
        lengths = np.bincount(whole[0], minlength=len(rows))
        unseen = len(np.unique(whole[0][whole[1] == _UNKNOWN]))
        ragged = Ragged(
            from_numpy(np.ascontiguousarray(whole[1])), from_numpy(lengths), fill=_PADDING
        )
        return ragged, Notes(len(rows), {_UNSEEN: unseen})

    def shape(self) -> SetShape:
        return SetShape(_FIRST + (self._size or len(self._values)), self._pool)

    def declared(self) -> SetShape:
        if self._size is None:
            raise unknown_size(self.name, 500)
        return self.shape()

    def state(self) -> dict[str, Any]:
        return {
            "column": self._column,
            "separator": self._separator,
            "size": self._size,
            "pool": self._pool,
            "values": self._values,
        }

    def load(self, state: dict[str, Any]) -> None:
        self._column, self._separator = state["column"], state["separator"]
        self._size, self._pool = state["size"], state["pool"]
        self._values = list(state["values"])

    def _members(self, rows: Rows) -> tuple[Any, Any, Any]:
        """Return the row of each value (n,), the values (n,), and which rows are missing (N,)."""
        column = column_of(rows, self._column, f"input {self.name!r}")
        kind = column.type
        if pa.types.is_string(kind):
            column = read_column(column, self._separator)
        elif pa.types.is_null(kind):
            column = column.cast(pa.list_(pa.string()))
        elif not is_list(kind):
            raise InputError(
                f"{self._where} holds {described(kind)}, expected lists of values, or texts with a "
                "separator"
            )
        lists = column.combine_chunks()
        missing = lists.is_null().to_numpy(zero_copy_only=False)
        places = rows_of_values(lists)
        texts = as_texts(pa.chunked_array([lists.flatten()]), self._where)
        texts = pc.utf8_trim_whitespace(texts)
        kept = pc.fill_null(pc.not_equal(texts, ""), False)
        return places[kept.to_numpy()], texts.filter(kept), missing

    @property
    def _where(self) -> str:
        return f"column {self._column!r}"
