"""A category per row: an index into the values seen in training."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from motet.data.inputs.base import Input, Rows
from motet.data.inputs.frequent_values import ValueCounts, indices_of, unknown_size
from motet.data.inputs.shapes import TableShape
from motet.data.notes import Finding, Notes
from motet.data.selection import column_of
from motet.data.values import as_texts
from motet.options import PositiveInt, TwoOrMore, checked
from motet.problems import InputError

_UNKNOWN, _MISSING, _FIRST = 0, 1, 2
_MIN_COUNT = 2
_MANY = 100_000
"""Values from which hashing is recommended."""
_MOST_BUCKETS, _MOST_HASHES = 2**31, 8
_UNSEEN = Finding(
    "have a value that was rare (min_count) or unseen in training",
    if_all="every validation and test row has an unseen category, so it only helps on training "
    "rows; leave it out",
)


@dataclass
class _Seen:
    """What was observed of the training rows."""

    counts: ValueCounts = field(default_factory=ValueCounts)
    """Without values that are hashed."""
    rows: int = 0
    known: int = 0


@final
class Category(Input):
    """One of a set of values per row.

    Index 0 stands for values that were rare or not seen in training, 1 for missing ones, and the
    others follow in order. Numbers and booleans are converted to text, so that 3 and 3.0 agree.

    With ``hash``, no list of values is kept, so that there may be millions: each has the index of
    its bucket, 2 to buckets + 1, which others share, and values that training did not have are like
    others. Several hashes give as many indices, whose vectors an encoder concatenates: two values
    are alike only where all agree. Hash embeddings (Svenstrup et al., NeurIPS 2017,
    arXiv:1709.03933) differ in that they add up weighted vectors of one table.

    Args:
        name: The input's name.
        column: Column to read; the input's name if left out.
        min_count: Number of training rows that a value needs for an index of its own; 2 if left
            out.
        size: Maximum number of values with an index of their own, which are 2 to size + 1; as many
            as occur in training if left out.
        hash: Number of buckets that values are hashed into, 2 or more.
        hashes: Number of hash functions, each with its own buckets; 1 if left out.

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
        min_count: PositiveInt | None = None,
        size: PositiveInt | None = None,
        hash: TwoOrMore | None = None,
        hashes: PositiveInt | None = None,
    ) -> None:
        _check_hashing(name, hash, hashes, {"min_count": min_count, "size": size})
        self.name = name
        self._column = column or name
        self._min_count = min_count or _MIN_COUNT
        self._buckets, self._hashes = hash, hashes or 1
        self._size = size
        self._values: list[str] = []
        self._seen = _Seen()

    def columns(self, available: Sequence[str]) -> tuple[str, ...]:
        return (self._column,)

    def observe(self, rows: Rows) -> None:
        texts = self._texts(rows)
        self._seen.rows += len(rows)
        self._seen.known += len(texts) - texts.null_count
        if self._buckets is None:
            advice = "to give each its own index; hash them, for example hash: 1000000, or leave "
            self._seen.counts.add(texts.drop_null(), self._where, f"{advice}the column out")

    def finish(self) -> None:
        seen, self._seen = self._seen, _Seen()
        if not seen.known:
            raise InputError(
                f"{self._where} has no value in the {seen.rows:,} training rows; remove it"
            )
        values = sorted(seen.counts.frequent(self._min_count))
        if self._size is not None and len(values) > self._size:
            raise InputError(
                f"found {self._size}, but {self._where} has {len(values):,} values that occur at "
                f"least {self._min_count} times in training; raise size or min_count",
                option="size",
            )
        self._values = values
        if len(values) > _MANY:
            self.notes = (
                f"input {self.name!r}: {len(values):,} values have an index of their own, and the "
                "model folder lists them all; hash: 100000 takes less memory",
            )

    def apply(self, rows: Rows) -> tuple[dict[str, Any], Notes]:
        texts = self._texts(rows)
        if self._buckets is not None:
            hashed = _hashed(texts, self._buckets, self._hashes)
            return {"categories": hashed}, Notes(len(rows), {})
        indices = indices_of(self._values, texts, _FIRST, _UNKNOWN)
        found = pc.if_else(texts.is_null(), _MISSING, indices).to_numpy()
        unseen = int((found == _UNKNOWN).sum())
        return {"categories": found.reshape(-1, 1)}, Notes(len(rows), {_UNSEEN: unseen})

    def shape(self) -> TableShape:
        if self._buckets is not None:
            return TableShape(categories=(_FIRST + self._buckets,) * self._hashes)
        return TableShape(categories=(_FIRST + (self._size or len(self._values)),))

    def declared(self) -> TableShape:
        if self._size is None and self._buckets is None:
            raise unknown_size(self.name, 12)
        return self.shape()

    def state(self) -> dict[str, Any]:
        return {
            "column": self._column,
            "min_count": self._min_count,
            "size": self._size,
            "values": self._values,
            **({} if self._buckets is None else {"hash": self._buckets, "hashes": self._hashes}),
        }

    def load(self, state: dict[str, Any]) -> None:
        self._column, self._min_count = state["column"], state["min_count"]
        self._size, self._values = state["size"], list(state["values"])
        self._buckets, self._hashes = state.get("hash"), state.get("hashes", 1)

    def _texts(self, rows: Rows) -> pa.ChunkedArray:
        return as_texts(column_of(rows, self._column, f"input {self.name!r}"), self._where)

    @property
    def _where(self) -> str:
        return f"column {self._column!r}"


def _hashed(texts: pa.ChunkedArray, buckets: int, hashes: int) -> NDArray[np.int64]:
    """Return the index of the bucket of each text by each hash, (N, hashes).

    The hashes are BLAKE2b's, eight bytes each, so a value has the same buckets everywhere.
    """
    encoded = texts.combine_chunks().dictionary_encode()
    values = encoded.dictionary.to_pylist()
    digests = b"".join(
        hashlib.blake2b(each.encode(), digest_size=8 * hashes).digest() for each in values
    )
    numbers = np.frombuffer(digests, "<u8").reshape(len(values), hashes)
    # one more row, which missing values point to
    indices = np.full((len(values) + 1, hashes), _MISSING, np.int64)
    indices[:-1] = (numbers % buckets).astype(np.int64) + _FIRST
    places = pc.fill_null(encoded.indices.cast(pa.int64()), len(values))
    found: NDArray[np.int64] = indices[places.to_numpy(zero_copy_only=False)]
    return found


def _check_hashing(
    name: str, buckets: int | None, hashes: int | None, others: dict[str, int | None]
) -> None:
    owner = f"input {name!r}"
    if buckets is None and hashes is not None:
        raise InputError("applies only with hash; remove it", option="hashes", owner=owner)
    for option, count, most in (("hash", buckets, _MOST_BUCKETS), ("hashes", hashes, _MOST_HASHES)):
        if count is not None and count > most:
            raise InputError(f"found {count}, expected at most {most}", option=option, owner=owner)
    for option, value in others.items():
        if buckets is not None and value is not None:
            raise InputError(
                f"not supported with hash, which keeps no values; remove {option}",
                option=option,
                owner=owner,
            )
