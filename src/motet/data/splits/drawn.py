"""Rows drawn at random, from all rows or from each class by the same fractions."""

import numpy as np
from numpy.typing import NDArray

from motet.data.apportioning import apportion, smallest_stratum
from motet.data.splits.base import Fractions, Numbers, Splits, require_training_rows, shuffled
from motet.data.strata import Strata
from motet.problems import InputError
from motet.seeds import derive

_NAMED = 5
"""Classes that a note names."""


def draw(rows: Numbers, fractions: Fractions, seed: int, strata: Strata | None) -> Splits:
    """Draw the splits from some rows.

    Args:
        rows: Their numbers.
        fractions: Shares of the splits.
        seed: Decides the order.
        strata: Classes of all rows, which have the same share in each split; None for no classes.

    Returns:
        The splits.

    Raises:
        InputError: If there are too few rows, or too few of the classes.
    """
    if strata is not None:
        return _by_class(strata, rows, fractions, seed)
    for_validation = _share(len(rows), fractions.validation)
    for_test = _share(len(rows), fractions.test) if fractions.test else 0
    require_training_rows(len(rows), for_validation + for_test)
    order = rows[shuffled(len(rows), seed)]
    test, validation, train = np.split(order, [for_test, for_test + for_validation])
    return Splits(np.sort(train), np.sort(validation), np.sort(test))


def _by_class(strata: Strata, rows: Numbers, fractions: Fractions, seed: int) -> Splits:
    """Draw from each class by the fractions, and from all classes that are too small together."""
    splits = fractions.counts(len(rows))
    codes = strata.codes[rows]
    sizes = np.bincount(codes, minlength=len(strata.names))
    fewest = smallest_stratum(sizes[sizes > 0], splits)
    if fewest is None:
        raise InputError(
            f"column {strata.column!r} cannot be stratified: its classes, or the splits (of "
            f"{', '.join(map(str, splits))} rows), have too few rows for one of each class in each "
            "split; stratify by a column with fewer values, hold out more rows, or remove stratify",
            option="stratify",
        )
    small = sizes < fewest
    order = shuffled(len(rows), seed)
    codes = codes[order]
    _, drawn = np.unique(np.where(small[codes], -1, codes), return_inverse=True)
    least = np.ones(drawn.max() + 1, np.int64)
    least[drawn[small[codes]]] = 0
    held_out = np.ones(len(rows), np.int64)  # a class with one row trains
    held_out[np.unique(codes, return_index=True)[1]] = 0
    order = rows[order[np.lexsort((held_out, drawn))]]
    counts = apportion(np.bincount(drawn), splits, least, derive(seed, "split strata"))
    places = np.tile(np.arange(len(splits)), len(counts)).repeat(counts.ravel())
    train, validation, *test = (np.sort(order[places == place]) for place in range(len(splits)))
    return Splits(train, validation, test[0] if test else rows[:0], _pooled(strata, sizes * small))


def _pooled(strata: Strata, sizes: NDArray[np.int64]) -> tuple[str, ...]:
    """Return a note with the classes that were drawn from together."""
    found = [f"{name} ({size})" for name, size in zip(strata.names, sizes, strict=True) if size]
    if not found:
        return ()
    more = f" and {len(found) - _NAMED:,} more" if len(found) > _NAMED else ""
    return (
        f"column {strata.column!r}: too few rows for one in each split have "
        f"{', '.join(found[:_NAMED])}{more}; their {sizes.sum():,} rows are split together",
    )


def _share(rows: int, fraction: float) -> int:
    return max(1, int(rows * fraction + 1e-9))  # 0.29 of 100 is 29, not 28
