"""Numbers that users pass, as arrays, checked once."""

from collections.abc import Iterable
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.problems import InputError, shown

Numbers = NDArray[np.float64]


def finite_numbers(values: Any, owner: str) -> Numbers:
    """Return values as a float64 vector, (N,) with N > 0; one number is a vector of one.

    Raises:
        InputError: If one is not a finite number, or there is none; ``owner`` names the values.
    """
    found = np.atleast_1d(as_numbers(values, owner))
    if found.ndim != 1 or not found.size:
        raise InputError(
            f"found shape {found.shape}; expected a number or a list of some", owner=owner
        )
    if not np.isfinite(found).all():
        place = int(np.flatnonzero(~np.isfinite(found))[0])
        raise InputError(
            f"found {found[place]} at place {place}; expected finite numbers; leave out what "
            "could not be measured",
            owner=owner,
        )
    return found


def as_numbers(values: Any, owner: str) -> Numbers:
    """Return values, a torch tensor too, as a float64 array of their shape.

    Raises:
        InputError: If they are not numbers, or rows have different lengths.
    """
    if hasattr(values, "detach"):  # a torch tensor, perhaps with a graph or of a short type
        values = values.detach().cpu().double().numpy()
    elif isinstance(values, Iterable) and not hasattr(values, "__array__"):
        values = list(values)
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"found {shown(values)}; expected numbers", owner=owner) from None


def share(value: float, option: str) -> float:
    """Return a probability such as a level or an error rate.

    Raises:
        InputError: If it is not between 0 and 1.
    """
    if not isinstance(value, Real) or not 0 < value < 1:
        raise InputError(f"found {shown(value)}; expected a number between 0 and 1", option=option)
    return value
