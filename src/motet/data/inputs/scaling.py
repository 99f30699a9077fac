"""Three ways to show a number to a network, each a pure pair of functions: fit, transform.

``fit`` takes the training values (n,), finite and at least one, and the number of bins; what it
returns holds plain numbers only, so that it can be written as JSON. ``transform`` takes values
(N,), NaN where missing, and returns columns (N, w), NaN where missing.
"""

from collections.abc import Callable
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Fitted = dict[str, Any]

_FARTHEST = 1e6
"""Standard deviations from the mean beyond which a value is cut, to stay finite in float32."""
_KNOTS = 1000
_LEAST_STD = 0.05
"""Standard deviation that a bin is given at least, so that one with few values stays below 20."""


class Scaling(NamedTuple):
    """A way to show a number."""

    fit: Callable[[Values, int], Fitted]
    transform: Callable[[Values, Fitted], NDArray[Any]]


def mean_and_std(values: NDArray[Any]) -> tuple[Values, Values]:
    """Return mean and population standard deviation along the first axis, ignoring NaN.

    Computed in float64 on values brought near 1, so that no square overflows; the standard
    deviation of what is constant is exactly 0. Columns without a value have mean 0 too.

    Args:
        values: Finite numbers or NaN, shape (N, ...), N at least 1.

    Returns:
        Two arrays of the shape (...).
    """
    there = ~np.isnan(values)
    count = np.maximum(there.sum(axis=0), 1)
    values = np.where(there, values, 0).astype(np.float64, copy=False)
    low = np.min(values, axis=0, where=there, initial=np.inf)
    high = np.max(values, axis=0, where=there, initial=-np.inf)
    unit = np.where(there.any(axis=0), np.maximum(np.abs(low), np.abs(high)), 1)
    unit = np.where(unit > 0, np.ldexp(1.0, np.frexp(unit)[1] - 1), 1)  # powers of 2 divide exactly
    near = values / unit
    mean = near.sum(axis=0) / count
    spread = np.sqrt(np.square(np.where(there, near - mean, 0)).sum(axis=0) / count)
    varies = low < high
    return np.where(low == high, low, mean * unit), np.where(varies, spread * unit, 0)


def standardise(values: NDArray[Any], mean: Any, std: Any) -> NDArray[Any]:
    """Return values less their mean over their standard deviation, cut where absurdly far."""
    with np.errstate(over="ignore"):
        near: NDArray[Any] = np.clip((values - mean) / std, -_FARTHEST, _FARTHEST)
    return near


def _fit_standard(values: Values, bins: int) -> Fitted:
    mean, std = mean_and_std(values)
    return {"mean": float(mean), "std": float(std) or 1.0}


def _standard(values: Values, fitted: Fitted) -> NDArray[Any]:
    return standardise(values, fitted["mean"], fitted["std"])[:, None]


def _fit_quantile(values: Values, bins: int) -> Fitted:
    # at most 1,000 training quantiles and the normal score of each; ties share the score of their
    # mean level
    count = min(_KNOTS, len(values))
    levels = np.linspace(0, 1, count) if count > 1 else np.array([0.5])
    knots, which = np.unique(np.quantile(values, levels), return_inverse=True)
    shared = np.bincount(which, levels) / np.bincount(which)
    normal, end = NormalDist(), 0.5 / count
    scores = [normal.inv_cdf(min(max(level, end), 1 - end)) for level in shared.tolist()]
    return {"knots": knots.tolist(), "scores": scores}


def _quantile(values: Values, fitted: Fitted) -> NDArray[Any]:
    return np.interp(values, fitted["knots"], fitted["scores"])[:, None]


def _fit_piecewise(values: Values, bins: int) -> Fitted:
    knots = _knots(values, bins)
    fitted: Fitted = {"knots": knots.tolist(), "mean": 0.0, "std": 1.0}
    places = _piecewise(values, fitted)[:, 0]
    mean, std = mean_and_std(places)
    parts = [mean_and_std(np.clip(places - start, 0, 1)) for start in range(len(knots) - 1)]
    return {
        "knots": knots.tolist(),
        "mean": float(mean),
        "std": float(std) or 1.0,
        "bin_means": [float(mean) for mean, _ in parts],
        "bin_stds": [max(float(std), _LEAST_STD) for _, std in parts],
    }


def _knots(values: Values, bins: int) -> Values:
    """Choose at most bins + 1 of the values."""
    # Quantiles in which a value that occurs n times counts sqrt(n): quantiles proper would spend
    # all knots of a column that is mostly 0 on the zeros.
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) <= bins + 1:
        return distinct
    weights = np.sqrt(counts)
    places = weights.cumsum() - weights / 2
    places = (places - places[0]) / (places[-1] - places[0])
    chosen = np.searchsorted(places, np.linspace(0, 1, bins + 1) - 1e-9)
    chosen[-1] = len(distinct) - 1
    return distinct[np.unique(chosen)]


def _piecewise(values: Values, fitted: Fitted) -> NDArray[Any]:
    """Place a value among the knots: 2.5 is halfway from the third to the fourth; standardised."""
    knots = np.array(fitted["knots"])
    unit = np.abs(knots).max() or 1.0
    with np.errstate(over="ignore"):  # what is too far for float64 is beyond the last knot
        near = values / unit
    places = np.interp(near, knots / unit, np.arange(len(knots)))
    return standardise(places, fitted["mean"], fitted["std"])[:, None]


SCALINGS = {
    "standard": Scaling(_fit_standard, _standard),
    "quantile": Scaling(_fit_quantile, _quantile),
    "piecewise": Scaling(_fit_piecewise, _piecewise),
}
