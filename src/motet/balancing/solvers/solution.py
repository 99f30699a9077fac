"""What all solvers share: unit rows, relative tolerances, a reported status.

A Gramian G = J Jᵀ is always solved for rows of unit length: ρ_kl = G_kl / (n_k n_l) with lengths
n_k = ‖g_k‖. So gradients of size 1e-8 and 1e8, or rows of very uneven length, meet the same
thresholds, and the weight of row k is its weight on the unit row divided by n_k.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]

OK = "ok"
EPS = float(np.finfo(np.float64).eps)

IN_HULL = 1e-6
"""‖Σ w g‖ / Σ w‖g‖ below this counts as 0: a Gramian, which holds its square, resolves no less."""

NOT_FINITE = "a gradient is not finite: the weights are NaN"
ZERO_WEIGHT = "a gradient is 0: its weight is 0"
ALL_ZERO = "every gradient is 0: equal weights"

_SOLVED = 1e-6
"""A larger residual is not that of a solution."""


@dataclass(frozen=True)
class Solution:
    """Weights, how well they fit, and what happened."""

    weights: Array
    """Task weights, (T,) or one row per right-hand side."""
    residual: float
    """How far the optimality conditions are missed, relative to the terms in them."""
    status: str = OK
    """"ok", or what went wrong and what the weights are instead."""


def not_finite(count: int) -> Solution:
    """Return NaN, so that a loss scaler can skip the step."""
    return Solution(np.full(count, np.nan), np.nan, NOT_FINITE)


def all_zero(count: int) -> Solution:
    """Give the weights where no row has a direction."""
    return Solution(np.full(count, 1.0 / count), 0.0, ALL_ZERO)


def solved(weights: Array, residual: float) -> Solution:
    """Return weights, with a status if the residual shows that they are no solution."""
    if residual <= _SOLVED:
        return Solution(weights, residual)
    status = f"the solver stopped at a relative residual of {residual:.0e}: its last weights"
    return Solution(weights, residual, status)


def unit_rows(gramian: Array) -> tuple[Array, Array]:
    """Split G (T, T) into lengths (T,) and cosines ρ (T, T) with a diagonal of 1.

    Returns:
        Lengths and cosines. A zero row has length 0, and cosine 0 with all others.
    """
    lengths = np.sqrt(np.maximum(gramian.diagonal(), 0.0))
    inverse = inverse_lengths(lengths)
    cosines = np.clip(gramian * inverse * inverse[:, None], -1.0, 1.0)
    np.fill_diagonal(cosines, 1.0)
    return lengths, cosines


def without_rounding(cosines: Array, tolerance: float | None = None) -> Array:
    """Return ρ (T, T) with its eigenvalues that are rounding set to 0, if any is beyond float64's.

    Of dependent rows in float32, a Gramian has eigenvalues near 1e-7, of either sign, for 0.

    Args:
        cosines: ρ, (T, T).
        tolerance: Share of the largest eigenvalue below which one is rounding, that of float64 by
            default.

    Returns:
        ρ itself, or a copy.
    """
    count = len(cosines)
    least = 4 * count * EPS
    tolerance = least if tolerance is None else tolerance
    if count == 2 and 1 - abs(cosines[0, 1]) > 2 * tolerance:
        return cosines
    try:  # most often all are larger
        np.linalg.cholesky(cosines - tolerance * count * np.eye(count))
        return cosines
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(cosines)
    rounding = values <= tolerance * values[-1]
    if not (rounding & (np.abs(values) > least * values[-1])).any():
        return cosines
    kept: Array = (vectors * np.where(rounding, 0.0, values)) @ vectors.T
    return kept


def inverse_lengths(lengths: Array) -> Array:
    """Return 1 / n_k, 0 for zero rows."""
    return np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)


def solve(systems: Array, rhs: Array) -> Array:
    """Solve linear systems (..., T, T), those that are singular by least squares."""
    try:
        solved = np.linalg.solve(systems, rhs[..., None])
    except np.linalg.LinAlgError:
        solved = np.linalg.pinv(systems) @ rhs[..., None]
    return np.asarray(solved[..., 0], dtype=np.float64)
