"""Digests of rows that come in parts, which do not depend on how rows are divided."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.data.targets.classes import MISSING


class RowsDigest:
    """A digest of encoded labels, or of other numbers for each row.

    Padding does not matter, so that sequences may be padded part by part.

    Example:
        >>> whole, parts = RowsDigest(), RowsDigest()
        >>> whole.add(np.array([[1, 2], [3, -100]]))
        >>> for part in ([[1, 2]], [[3]]):
        ...     parts.add(np.array(part))
        >>> whole.hexdigest() == parts.hexdigest()
        True
    """

    def __init__(self) -> None:
        self._counts, self._values = (hashlib.blake2b(digest_size=16) for _ in range(2))

    def add(self, values: NDArray[Any]) -> None:
        """Add the values of further rows, (n, ...), -100 or NaN where missing."""
        known = ~np.isnan(values) if values.dtype.kind == "f" else values != MISSING
        self._counts.update(known.reshape(len(known), -1).sum(axis=1).astype("<i8").data)
        self._values.update(np.ascontiguousarray(values[known]).data)

    def hexdigest(self) -> str:
        """Return the digest of all rows added."""
        both = self._counts.digest() + self._values.digest()
        return hashlib.blake2b(both, digest_size=16).hexdigest()


def places_digest(places: NDArray[np.int64]) -> str:
    """Return the digest of the split of each row."""
    found = RowsDigest()
    found.add(places.astype(np.int8))
    return found.hexdigest()
