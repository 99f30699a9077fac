"""Labels of which only equality matters: which rows are of the same class."""

import hashlib
from collections.abc import Mapping
from typing import Any, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from motet.data.inputs.base import Input
from motet.data.selection import require_columns
from motet.data.targets.base import NO_INPUTS, Target
from motet.data.targets.classes import MISSING
from motet.data.targets.numbered import numbered
from motet.problems import InputError


@final
class IdentityTarget(Target):
    """The class of each row as a hash of its name, the same in every table; none is learned.

    Predictions are embeddings, a list of numbers for each row.

    Example:
        >>> encoded = IdentityTarget("person").encode(pa.table({"person": ["eve", "bob", "eve"]}))
        >>> bool(encoded[0] == encoded[2] != encoded[1])
        True
    """

    @property
    def summary(self) -> str:
        return "embedding"

    def fit(self, table: pa.Table, inputs: Mapping[str, Input] = NO_INPUTS) -> None:
        encoded = self.encode(table)
        sizes = np.unique(encoded[encoded != MISSING], return_counts=True)[1]
        if len(sizes) < 2 or sizes.max() < 2:
            raise InputError(
                f"{self._where} has {len(sizes):,} classes with at most "
                f"{sizes.max(initial=0):,} training rows each; expected at least two classes, and "
                "several rows of some"
            )
        single = int((sizes == 1).sum())
        alone = f", {single:,} of them with one row, which has none like it" if single else ""
        self.notes = (f"task {self.name!r}: {len(sizes):,} classes in the training rows{alone}",)

    def encode(self, table: pa.Table, inputs: Mapping[str, Input] = NO_INPUTS) -> NDArray[Any]:
        require_columns(table, [self.column], f"task {self.name!r}")
        places, names = numbered(table[self.column], self._where)
        hashes = np.array([MISSING, *map(_hash, names)], np.int64)
        return hashes[np.where(places == MISSING, 0, places + 1)]

    def predictions(
        self,
        value: NDArray[Any],
        probabilities: NDArray[Any] | None = None,
        table: pa.Table | None = None,
        inputs: Mapping[str, Input] = NO_INPUTS,
    ) -> dict[str, pa.Array]:
        flat = pa.array(value.astype(np.float32).reshape(-1))
        ends = np.arange(len(value) + 1, dtype=np.int32) * value.shape[1]
        return {self.name: pa.ListArray.from_arrays(pa.array(ends, pa.int32()), flat)}


def _hash(name: str) -> int:
    """Return a number from 0 to 2^62, which two of a billion names share with probability 0.1."""
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 2
