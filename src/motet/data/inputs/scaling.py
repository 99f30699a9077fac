"""Three scalings of a number, each a pure pair of functions: fit, transform.

``fit`` takes the `Moments` of the training values or a sample of them (n,), finite and at least
one, and the number of bins; it returns plain numbers only, so that they can be written as JSON.
``transform`` takes values (N,), NaN where missing, and returns columns (N, w), NaN where missing.
"""

from collections.abc import Callable
from statistics import NormalDist
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from motet.data.inputs.moments import Moments, Values, mean_and_std

Fitted = dict[str, Any]

_FARTHEST = 1e6
"""Standard deviations from the mean beyond which a value is clipped, to stay finite in float32."""
_KNOTS = 1000
_LEAST_STD = 0.05
"""Minimum standard deviation of a bin, so that one with few values stays below 20."""


class Scaling(NamedTuple):
    """A scaling."""

    learns_from: Literal["moments", "sample"]
    fit: Callable[[Any, int], Fitted]
    transform: Callable[[Values, Fitted], NDArray[Any]]


def standardise(values: NDArray[Any], mean: Any, std: Any) -> NDArray[Any]:
    """Return values minus mean, divided by standard deviation, and clipped to stay finite."""
    with np.errstate(over="ignore"):
        near: NDArray[Any] = np.clip((values - mean) / std, -_FARTHEST, _FARTHEST)
    return near


def _fit_standard(moments: Moments, bins: int) -> Fitted:
    return {"mean": float(moments.mean), "std": float(moments.std) or 1.0}


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
    filled = [mean_and_std(np.clip(places - start, 0, 1)) for start in range(len(knots) - 1)]
    return {
        "knots": knots.tolist(),
        "mean": float(mean),
        "std": float(std) or 1.0,
        "bin_means": [float(mean) for mean, _ in filled],
        "bin_stds": [max(float(std), _LEAST_STD) for _, std in filled],
    }


def _knots(values: Values, bins: int) -> Values:
    """Choose at most bins + 1 of the values."""
    # Quantiles in which a value that occurs n times counts sqrt(n): plain quantiles would spend
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
    """Return places among the knots, standardised: 2.5 is halfway from the third to the fourth."""
    knots = np.array(fitted["knots"])
    unit = np.abs(knots).max() or 1.0
    with np.errstate(over="ignore"):  # values too far for float64 are beyond the last knot
        near = values / unit
    places = np.interp(near, knots / unit, np.arange(len(knots)))
    return standardise(places, fitted["mean"], fitted["std"])[:, None]


SCALINGS = {
    "standard": Scaling("moments", _fit_standard, _standard),
    "quantile": Scaling("sample", _fit_quantile, _quantile),
    "piecewise": Scaling("sample", _fit_piecewise, _piecewise),
}
