"""Trees of arrays: mappings, perhaps nested, whose leaves have one row per example.

A leaf is a NumPy array, or a `motet.data.ragged.Ragged`; both have ``take``.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.data.targets.classes import MISSING


def take_rows(tree: Any, rows: Any) -> Any:
    """Return some rows of every leaf."""
    if isinstance(tree, dict):
        return {name: take_rows(each, rows) for name, each in tree.items()}
    return tree.take(rows, axis=0)


def leaves(tree: Any) -> Iterator[Any]:
    """Yield the leaves, in order."""
    if isinstance(tree, dict):
        for each in tree.values():
            yield from leaves(each)
    else:
        yield tree


def joined_labels(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Put arrays one below the other; sequences of labels are filled up to the longest."""
    if len(arrays) == 1:
        return arrays[0]
    if len({each.shape[1:] for each in arrays}) > 1:
        longest = max(each.shape[1] for each in arrays)
        arrays = [_filled(each, longest) for each in arrays]
    return np.concatenate(arrays)


def _filled(values: NDArray[Any], length: int) -> NDArray[Any]:
    more = [(0, 0), (0, length - values.shape[1]), *[(0, 0)] * (values.ndim - 2)]
    missing = np.nan if values.dtype.kind == "f" else MISSING
    return np.pad(values, more, constant_values=missing)
