"""Minimum-norm point and dual-cone projection, on unit rows."""

import numpy as np
from numpy.typing import NDArray

from motet.balancing.solvers.complementarity import Complementarity
from motet.balancing.solvers.solution import (
    Array,
    Solution,
    inverse_lengths,
    not_finite,
    solved,
    unit_rows,
    without_rounding,
)

_ROUNDING = 1e-14  # below this share of what was summed up, q is 0


def min_norm_point(gramian: Array, tolerance: float | None = None) -> Solution:
    """Find the point of least norm in the convex hull of the rows: min wᵀGw, w ≥ 0, Σw = 1.

    With unit rows and z_k = min(n) / n_k, the problem is min ‖Ĵᵀv‖² + (z·v - 1)², v ≥ 0, and then
    w_k ∝ v_k / n_k. If rows are 0, they share the weight.

    Args:
        gramian: Inner products of the rows, (T, T).
        tolerance: Share of the largest eigenvalue, on unit rows, below which one is rounding.

    Returns:
        Weights (T,) that sum to 1.

    Example:
        >>> min_norm_point(np.diag([9.0, 16.0])).weights.round(6)
        array([0.64, 0.36])
    """
    if not np.isfinite(gramian).all():
        return not_finite(len(gramian))
    lengths, cosines = unit_rows(gramian)
    zero = lengths == 0
    if zero.any():
        return Solution(zero / zero.sum(), 0.0)
    z = lengths.min() / lengths
    cosines = without_rounding(cosines, tolerance)
    v, residual = Complementarity(cosines + np.outer(z, z)).solve(-z[None])
    weights = v[0] * z  # not v / lengths: no overflow
    return solved(weights / weights.sum(), residual)


def project_on_dual_cone(
    gramian: Array,
    combinations: Array,
    tolerance: float | None = None,
    bounds: NDArray[np.bool_] | None = None,
) -> Solution:
    """Project combinations of the rows on their dual cone, the d with g_k·d ≥ 0 for every k.

    The projection of Jᵀu is Jᵀv, where v minimises vᵀGv over v ≥ u; for rows k that do not bound
    the cone, v_k = u_k.

    Args:
        gramian: Inner products of the rows, (T, T).
        combinations: Weights u of N combinations, (N, T).
        tolerance: Share of the largest eigenvalue, on unit rows, below which one is rounding.
        bounds: Which rows bound the cone, (T,); all by default.

    Returns:
        Weights v of the N projections, (N, T).

    Example:
        >>> c = np.array([[1.0, -1.0], [-1.0, 2.0]])  # rows (1, 0) and (-1, 1)
        >>> project_on_dual_cone(c, np.eye(2) / 2).weights
        array([[0.5 , 0.25],
               [0.5 , 0.5 ]])
    """
    if not (np.isfinite(gramian).all() and np.isfinite(combinations).all()):
        failed = not_finite(len(gramian))
        return Solution(combinations * np.nan, failed.residual, failed.status)
    lengths, cosines = unit_rows(gramian)
    onto_units = combinations * lengths
    size = np.abs(onto_units).max(axis=1, keepdims=True)
    u = np.divide(onto_units, size, out=np.zeros_like(onto_units), where=size > 0)
    cosines = without_rounding(cosines, tolerance)
    q = u @ cosines
    q[np.abs(q).max(axis=1) <= _ROUNDING * np.abs(u).sum(axis=1)] = 0.0
    if bounds is None:
        x, residual = Complementarity(cosines).solve(q, combinations=u)
    else:
        x = np.zeros_like(u)
        inner = Complementarity(cosines[bounds][:, bounds])
        x[:, bounds], residual = inner.solve(q[:, bounds])
    return solved(combinations + size * x * inverse_lengths(lengths), residual)
