"""Three ways to show a number to a network, each a pure pair of functions: fit, transform.

``fit`` takes the training values (n,), finite and at least one, and the number of bins; what it
returns holds plain numbers only, so that it can be written as JSON. ``transform`` takes values
(N,), NaN where missing, and returns columns (N, w), NaN where missing.
"""

from collections.abc import Callable
from itertools import pairwise
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Fitted = dict[str, Any]

_FARTHEST = 1e6
"""Standard deviations from the mean beyond which a value is cut, to stay finite in float32."""
_KNOTS = 1000


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
    edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)))
    return {**_fit_standard(values, bins), "edges": edges.tolist()}


def _piecewise(values: Values, fitted: Fitted) -> NDArray[Any]:
    """Return the standardised value, and how much of each bin lies below the value.

    Piecewise-linear encoding of Gorishniy et al. (NeurIPS 2022, arXiv:2203.05556), equation 1, with
    quantile bins. We differ in that the outer bins are cut at 0 and 1 too: how far outside a value
    lies is told by the standardised value.
    """
    edges = fitted["edges"]
    columns = np.empty((len(values), len(edges)), np.float32)
    columns[:, 0] = _standard(values, fitted)[:, 0]
    for place, ends in enumerate(pairwise(edges), 1):
        columns[:, place] = np.interp(values, ends, (0.0, 1.0))
    return columns


SCALINGS = {
    "standard": Scaling(_fit_standard, _standard),
    "quantile": Scaling(_fit_quantile, _quantile),
    "piecewise": Scaling(_fit_piecewise, _piecewise),
}
