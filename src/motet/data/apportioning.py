"""Numbers of rows of each stratum in each split: splits keep their sizes, strata their shares.

Shares are rounded by largest remainders (Hamilton's method) for all strata at once, so that their
rounding errors do not add up.
"""

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]

_EXCESS = 0.1
"""Share of a split that small strata may take beyond their own share, so that each has one row."""


def smallest_stratum(sizes: Counts, splits: Counts) -> int | None:
    """Find the size from which strata can have at least one row in each split.

    Args:
        sizes: Rows of each stratum, (S,).
        splits: Rows of each split, with the same sum.

    Returns:
        The smallest size for which the strata of that size or larger, with one row or their share
        in each split, leave the splits their sizes and the smaller strata most of their own share;
        None if no size does.

    Example:
        >>> smallest_stratum(np.array([100, 100, 2, 4]), np.array([144, 31, 31]))
        4
        >>> smallest_stratum(np.array([100, 100] + [3] * 100), np.array([350, 75, 75]))
        100
    """
    for size in np.unique(sizes[sizes >= len(splits)]).tolist():
        large = sizes[sizes >= size]
        shares = large[:, None] * splits / sizes.sum()
        excess = np.maximum(1 - shares, 0).sum(axis=0)
        if len(large) <= splits.min() and (excess <= np.maximum(1, _EXCESS * splits)).all():
            return int(size)
    return None


def apportion(sizes: Counts, splits: Counts, least: Counts, seed: int) -> Counts:
    """Divide the rows of strata among splits.

    Args:
        sizes: Rows of each stratum, (S,).
        splits: Rows of each of P splits, with the same sum.
        least: Minimum number of rows of each stratum in every split, (S,); it must be possible.
        seed: Seed for breaking ties.

    Returns:
        Rows, (S, P), with those sums.

    Example:
        >>> apportion(np.array([7, 3]), np.array([6, 2, 2]), np.array([1, 1]), seed=0)
        array([[5, 1, 1],
               [1, 1, 1]])
    """
    ties = np.random.Generator(np.random.PCG64(seed)).permutation(len(sizes))
    counts = np.zeros((len(sizes), len(splits)), np.int64)
    share, left = splits / sizes.sum(), sizes.copy()
    for place in range(len(splits) - 1, 0, -1):
        # with what the splits before rounded off
        quotas = sizes * share[place:].sum() - counts.sum(axis=1)
        counts[:, place] = _rounded(quotas, splits[place], least, left - place * least, ties)
        left -= counts[:, place]
    counts[:, 0] = left
    return counts


def _rounded(
    quotas: NDArray[np.float64], total: int, least: Counts, most: Counts, ties: Counts
) -> Counts:
    counts = np.clip(np.floor(quotas).astype(np.int64), least, most)
    while lacking := total - counts.sum():
        step = np.sign(lacking)
        order = np.lexsort((ties, -step * (quotas - counts)))
        free = order[(counts < most if step > 0 else counts > least)[order]]
        counts[free[: abs(lacking)]] += step
    return counts
