"""Mean and standard deviation of columns, computed batch by batch and added up."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Count, mean, population standard deviation and range of columns, each of shape (...).

    Sums of two are those of all rows together: exact for counts and ranges, to rounding for the
    others (Chan, Golub & LeVeque, 1979). The standard deviation of a constant is exactly 0.

    Example:
        >>> one, other = Moments.of(np.array([1.0, 3.0])), Moments.of(np.array([np.nan, 5.0]))
        >>> both = one + other
        >>> int(both.count), float(both.mean), float(both.std ** 2)
        (3, 3.0, 2.6666666666666665)
    """

    count: NDArray[np.int64]
    mean: Values
    std: Values
    low: Values
    high: Values

    @staticmethod
    def of(values: NDArray[Any]) -> "Moments":
        """Compute the moments along the first axis, ignoring NaN.

        Values are scaled near 1 and summed in float64, so that no square overflows. Columns without
        a value have mean 0.

        Args:
            values: Finite numbers or NaN, shape (N, ...).

        Returns:
            Moments of shape (...).
        """
        there = ~np.isnan(values)
        found = there.sum(axis=0)
        count = np.maximum(found, 1)
        values = np.where(there, values, 0).astype(np.float64, copy=False)
        low = np.min(values, axis=0, where=there, initial=np.inf)
        high = np.max(values, axis=0, where=there, initial=-np.inf)
        unit = _unit(low, high)
        near = values / unit
        mean = near.sum(axis=0) / count
        spread = np.sqrt(np.square(np.where(there, near - mean, 0)).sum(axis=0) / count)
        return Moments(
            found,
            np.where(low == high, low, mean * unit),
            np.where(low < high, spread * unit, 0),
            low,
            high,
        )

    def __add__(self, other: "Moments") -> "Moments":
        low, high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        count = self.count + other.count
        unit = _unit(low, high)
        own, others = (each.count / np.maximum(count, 1) for each in (self, other))
        near, far = self.mean / unit, other.mean / unit
        mean = own * near + others * far
        square = own * np.square(self.std / unit) + others * np.square(other.std / unit)
        spread = np.sqrt(square + own * others * np.square(far - near))
        return Moments(
            count,
            np.where(low == high, low, mean * unit),
            np.where(low < high, spread * unit, 0),
            low,
            high,
        )

    def component(self, place: int) -> "Moments":
        """Return the moments of one of D columns, where the shape is (D,)."""
        parts = (each[place] for each in (self.count, self.mean, self.std, self.low, self.high))
        return Moments(*parts)


def mean_and_std(values: NDArray[Any]) -> tuple[Values, Values]:
    """Return mean and population standard deviation along the first axis; see `Moments.of`."""
    found = Moments.of(values)
    return found.mean, found.std


def _unit(low: Values, high: Values) -> Values:
    """Return powers of 2 near the largest value: dividing by them is exact."""
    unit = np.where(low <= high, np.maximum(np.abs(low), np.abs(high)), 1)
    return np.where(unit > 0, np.ldexp(1.0, np.frexp(unit)[1] - 1), 1)
