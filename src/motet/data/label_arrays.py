"""Encoded labels of several parts as one array."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.data.targets.classes import MISSING


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
