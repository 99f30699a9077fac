"""How targets that are numbers are standardised by the training labels."""

import numpy as np
from numpy.typing import NDArray

from motet.data.inputs.moments import Values, mean_and_std
from motet.data.values import Floats
from motet.problems import InputError, RowError


def to_float32(
    values: Floats, what: str, unit: str = "", *, beyond: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Return numbers (N, ...) in single precision.

    Args:
        values: The numbers.
        what: Whose they are, to begin messages with.
        unit: What they count, after a space.
        beyond: Which of them are infinite on purpose, (N, ...); none if left out.

    Returns:
        The same numbers.

    Raises:
        RowError: If another one is too large.
    """
    with np.errstate(over="ignore"):
        found = values.astype(np.float32)
    wrong = np.isinf(found) if beyond is None else np.isinf(found) & ~beyond
    infinite = wrong.reshape(len(found), -1).any(axis=1)
    if infinite.any():
        raise RowError(
            f"{what} is too large in",
            infinite.argmax(),
            f": beyond 3e38{unit}; correct it, or write a missing value there",
        )
    return found


def learn_scale(values: Floats, what: str) -> tuple[Values, Values]:
    """Return mean and standard deviation of the training labels.

    Args:
        values: The labels, (N,), or (N, D) for several outputs; NaN where missing.
        what: Whose they are, to begin messages with.

    Returns:
        Numbers (), or (D,) for several outputs.

    Raises:
        InputError: If an output has fewer than two labels, or the same label everywhere, so that
            there is nothing to learn.
    """
    mean, std = mean_and_std(values)
    counts = np.atleast_1d((~np.isnan(values)).sum(axis=0))
    fewest = counts.min() if counts.size else 0
    if fewest < 2:
        raise InputError(
            f"{what} has {fewest} labels in the {len(values):,} training "
            "rows, expected at least 2; check the column, or remove the task"
        )
    if not np.all(std > 0):
        which = f"number {np.argmin(std)} of its lists" if values.ndim == 2 else "it"
        raise InputError(
            f"{what}: {which} is the same in every training row, so there is nothing "
            "to learn; check the column, or remove the task"
        )
    return mean, std
