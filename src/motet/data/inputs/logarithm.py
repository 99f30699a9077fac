"""A logarithm for amounts that span decades: signed, of any number, and undone exactly.

``y = sign(x) log(1 + |x| / scale)`` is linear near 0 and a logarithm beyond the scale, which is
learned: a tenth of the numbers other than 0 are smaller in size. So most amounts are at distances
that are their ratios, and 0 is a number like others, not infinitely far away.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.data.inputs.moments import Values
from motet.figures import figure

_SMALL = 0.1
"""Share of the numbers, without zeros, that are smaller in size than the scale."""
_RATIO, _SKEW, _FEWEST = 100, 2.0, 20


def log_scale(values: Values) -> float:
    """Return the scale for numbers (n,), some of which may be NaN; 1 if all are 0."""
    sizes = np.abs(values[~np.isnan(values)])
    sizes = sizes[sizes > 0]
    return float(np.quantile(sizes, _SMALL)) if len(sizes) else 1.0


def to_log(values: Values, scale: Any) -> Values:
    """Return the logarithms of numbers (N, ...), NaN where missing.

    Example:
        >>> to_log(np.array([0.0, 9.0, -99.0]), 1.0) / np.log(10)
        array([ 0.,  1., -2.])
    """
    with np.errstate(divide="ignore", invalid="ignore"):  # log(0), which becomes 0, and NaN
        sizes = np.logaddexp(0, np.log(np.abs(values)) - np.log(scale))
    found: Values = np.sign(values) * sizes
    return found


def spans_decades(values: Values) -> str:
    """Return why a logarithm fits numbers (n,), or an empty text if it does not.

    It does where nine tenths of the sizes, without zeros, span a factor of 100, and the numbers are
    skewed, more than twice as much as their logarithms.

    Returns:
        The reason, as a clause for users to read; empty if a logarithm does not fit.

    Example:
        >>> spans_decades(np.geomspace(1, 10_000, 100))
        'nine tenths of the sizes are from 1.585 to 6,311, and the numbers are skewed (2.4)'
        >>> spans_decades(np.arange(100.0))
        ''
    """
    sizes = np.abs(values[~np.isnan(values)])
    sizes = sizes[sizes > 0]
    if len(sizes) < _FEWEST:
        return ""
    low, high = np.quantile(sizes, [0.05, 0.95])
    if high < _RATIO * low:
        return ""
    skew, after = _skew(values), _skew(to_log(values, log_scale(values)))
    if abs(skew) < _SKEW or abs(skew) < 2 * abs(after):
        return ""
    return (
        f"nine tenths of the sizes are from {figure(low)} to {figure(high)}, and the numbers are "
        f"skewed ({skew:.2g})"
    )


def _skew(values: NDArray[Any]) -> float:
    known = values[~np.isnan(values)]
    near = known / (np.abs(known).max() or 1.0)
    near = near - near.mean()
    spread = float(np.sqrt(np.square(near).mean()))
    return float((near**3).mean() / spread**3) if spread > 0 else 0.0
