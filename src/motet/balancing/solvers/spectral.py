"""Closed forms through eigenvalues: directions with given cosines, and aligned gradients.

Eigenvalues below ``tolerance`` times the largest are rounding, and count as 0. A Gramian cannot
tell less than T times the machine epsilon of the numbers it was computed in.
"""

from typing import Literal

import numpy as np

from motet.balancing.solvers.solution import Array, unit_rows


def eigenpairs(matrix: Array, tolerance: float | None = None) -> tuple[Array, Array]:
    """Return the eigenvalues (R,) above the tolerance, ascending, and their vectors (T, R)."""
    if tolerance is None:
        tolerance = len(matrix) * float(np.finfo(np.float64).eps)
    values, vectors = np.linalg.eigh(matrix)
    kept = values > tolerance * max(values[-1], 0.0)
    return values[kept], vectors[:, kept]


def given_cosines(
    gramian: Array, targets: Array, tolerance: float | None = None
) -> tuple[Array, Array]:
    """Find a direction whose products with the unit rows are ``targets`` (T,), or nearest to them.

    They are reached if the rows are independent.

    Returns:
        Weights v (T,) on the unit rows, 0 for zero rows, and the products ρv (T,) reached.

    Example:
        >>> v, reached = given_cosines(np.diag([9.0, 16.0]), np.ones(2))
        >>> v, reached
        (array([1., 1.]), array([1., 1.]))
    """
    lengths, cosines = unit_rows(gramian)
    cosines[lengths == 0] = 0.0
    values, vectors = eigenpairs(cosines, tolerance)
    v = vectors @ ((vectors.T @ targets) / values)
    return v, cosines @ v


def aligned(
    gramian: Array,
    preference: Array,
    scaling: Literal["min", "median", "rmse"] = "min",
    tolerance: float | None = None,
) -> Array:
    """Make the principal directions of J equally long, then add up: σ VΛ^(-½)Vᵀ p.

    Args:
        gramian: Inner products of the rows, (T, T) = VΛVᵀ.
        preference: Weights p of the rows, (T,).
        scaling: σ² is the least, the (lower) median or the mean eigenvalue of those kept.
        tolerance: Relative rank tolerance, on unit rows: a short row is no rounding.

    Returns:
        Weights (T,).

    Example:
        >>> aligned(np.diag([9.0, 16.0]), np.ones(2))
        array([1.  , 0.75])
    """
    lengths, cosines = unit_rows(gramian)
    cosines[lengths == 0] = 0.0
    values, vectors = eigenpairs(cosines, tolerance)
    if not len(values):
        return preference
    # singular values of a root A of G = AAᵀ are as exact as those of J; eigenvalues of G are not
    root = lengths[:, None] * vectors * np.sqrt(values)  # (T, R)
    vectors, lambdas, _ = np.linalg.svd(root, full_matrices=False)  # descending
    length = {
        "min": lambdas[-1],
        "median": lambdas[len(lambdas) // 2],
        "rmse": np.sqrt((lambdas**2).mean()),
    }[scaling]
    weights: Array = vectors @ ((length / lambdas) * (vectors.T @ preference))
    return weights
