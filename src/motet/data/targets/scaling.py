"""How targets that are numbers are standardised by the training labels."""

from typing import Any

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
    infinite = wrong.any(axis=tuple(range(1, wrong.ndim)))
    if infinite.any():
        raise RowError(
            f"{what} is too large in",
            infinite.argmax(),
            f": beyond 3e38{unit}; correct it, or write a missing value there",
        )
    return found


def standardised(
    values: Floats, mean: Any, std: Any, what: str, *, beyond: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Return numbers (N, ...) in standard deviations from the mean; see `to_float32`."""
    with np.errstate(over="ignore"):
        scaled = (values - mean) / std
    unit = " standard deviations of the training labels"
    return to_float32(scaled, what, unit, beyond=beyond)


def learn_scale(values: Floats, what: str) -> tuple[Values, Values]:
    """Return mean and standard deviation of the training labels.

    Args:
        values: The labels, (N,), or (N, D) for several outputs; NaN where missing.
        what: Whose they are, to begin messages with.

    Returns:
        Numbers (), or (D,) for several outputs.

    Raises:
        InputError: As for `check_scale`, of any output.
    """
    mean, std = mean_and_std(values)
    counts = np.atleast_1d((~np.isnan(values)).sum(axis=0))
    if not counts.size:  # lists without a number
        check_scale(0, 0.0, len(values), what)
    which = f"number {np.argmin(std)} of its lists" if values.ndim == 2 else "it"
    check_scale(int(counts.min()), float(np.min(std)), len(values), what, which=which)
    return mean, std


def check_scale(
    count: int,
    std: float,
    rows: int,
    what: str,
    *,
    labels: str = "labels",
    which: str = "it",
    everywhere: str = "training row",
) -> None:
    """Check that labels differ, so that there is something to learn.

    Args:
        count: How many there are.
        std: Their standard deviation.
        rows: Number of training rows.
        what: Whose they are, to begin messages with.
        labels: What they are.
        which: Which of them vary least.
        everywhere: Where they would be the same.

    Raises:
        InputError: If there are fewer than two, or all are the same.
    """
    if count < 2:
        raise InputError(
            f"{what} has {count} {labels} in the {rows:,} training rows, expected at least 2; "
            "check the column, or remove the task"
        )
    if not std > 0:
        raise InputError(
            f"{what}: {which} is the same in every {everywhere}, so there is nothing to learn; "
            "check the column, or remove the task"
        )
