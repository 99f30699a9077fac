"""Hashes of row numbers, by which samples of rows are chosen however rows are batched."""

import numpy as np
from numpy.typing import NDArray


def row_hashes(rows: NDArray[np.int64], key: int = 0) -> NDArray[np.uint64]:
    """Hash row numbers by SplitMix64 (Steele, Lea & Flood, OOPSLA 2014), which is a bijection.

    Args:
        rows: Row numbers, (N,).
        key: Makes samples independent of each other.

    Returns:
        Hashes, (N,).
    """
    z = (rows.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(key)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
