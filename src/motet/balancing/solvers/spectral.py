"""Closed forms through eigenvalues: directions with given cosines, and aligned gradients.

Eigenvalues below ``tolerance`` times the largest are rounding, and count as 0. A Gramian cannot
resolve less than T times the machine epsilon of the numbers it was computed in.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from motet.balancing.solvers.solution import (
    ALL_ZERO,
    EPS,
    OK,
    ZERO_WEIGHT,
    Array,
    Solution,
    not_finite,
    unit_rows,
)

DEPENDENT = (
    "the gradients are dependent, as far as rounding shows: the weights may be those of rounding"
)
UNEVEN = (
    "the gradients are dependent and of very uneven length: the weights of the longest are rounding"
)

_TINY = float(np.finfo(np.float64).tiny)
_GRADED = 1e-5  # of the largest singular value: a smaller one has lost a third of its digits
_UNEVEN = 1e-10  # and this one two thirds
_UNCERTAIN = 10  # times the tolerance: eigenvalues below are kept, but known to 10 % only
_SWEEPS = 30  # 4 to 8 suffice


def eigenpairs(matrix: Array, tolerance: float | None = None) -> tuple[Array, Array]:
    """Return the eigenvalues (R,) above the tolerance, ascending, and their vectors (T, R)."""
    if tolerance is None:
        tolerance = len(matrix) * EPS
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
) -> Solution:
    """Make the principal directions of J equally long, then add up: σ VΛ^(-½)Vᵀ p.

    The rank is that of the unit rows, so that a short row is not mistaken for rounding, and
    singular values are right relative to themselves, however uneven the rows are.

    Args:
        gramian: Inner products of the rows, (T, T) = VΛVᵀ.
        preference: Weights p of the rows, (T,).
        scaling: σ² is the least, the (lower) median or the mean eigenvalue of those kept.
        tolerance: Relative rank tolerance, on unit rows.

    Returns:
        Weights (T,). The status reports rows that are 0, and a rank that rounding hides.

    Example:
        >>> aligned(np.diag([9.0, 16.0]), np.ones(2)).weights
        array([1.  , 0.75])
    """
    if not np.isfinite(gramian).all():
        return not_finite(len(gramian))
    lengths, cosines = unit_rows(gramian)
    some = lengths > 0
    if not some.any():
        return Solution(preference, 0.0, ALL_ZERO)
    n = lengths[some] / lengths.max()
    if tolerance is None:
        tolerance = len(gramian) * EPS
    rho = cosines if some.all() else cosines[np.ix_(some, some)]
    values, vectors = eigenpairs(rho, tolerance)
    # singular values of a root A of G = AAᵀ are as exact as those of J; eigenvalues of G are not
    lambdas, vectors = _singular(n[:, None] * vectors * np.sqrt(values))
    length = {
        "min": lambdas[-1],
        "median": lambdas[len(lambdas) // 2],
        "rmse": np.sqrt((lambdas**2).mean()),
    }[scaling]
    weights = np.zeros_like(lengths)
    weights[some] = vectors @ ((length / lambdas) * (vectors.T @ preference[some]))
    notes = [] if some.all() else [ZERO_WEIGHT]
    if values[0] < _UNCERTAIN * tolerance * values[-1]:
        notes.append(DEPENDENT)
    elif len(values) < len(n) and lambdas[-1] < _UNEVEN * lambdas[0]:
        notes.append(UNEVEN)
    return Solution(weights, 0.0, "; ".join(notes) or OK)


def _singular(root: Array) -> tuple[Array, Array]:
    """Return singular values (R,), descending, and left singular vectors (T, R) of a root (T, R).

    LAPACK's are exact to the rounding of the largest. Where that is not enough, one-sided Jacobi
    rotations are: to the rounding of each, times the condition of the unit rows (Demmel & Veselić
    1992). A sweep meets all pairs of columns of Aᵀ, T / 2 at a time.
    """
    vectors, lambdas, _ = np.linalg.svd(root, full_matrices=False)
    count = len(root)
    if lambdas[-1] > _GRADED * lambdas[0] or len(lambdas) < count:
        return lambdas, vectors
    order = np.argsort(-np.linalg.norm(root, axis=1))
    columns, turned = root[order].T, np.eye(count)
    for _ in range(_SWEEPS):
        widest = 0.0
        for left, right in _pairings(count):
            a, b = columns[:, left], columns[:, right]
            a2, b2, inner = (a * a).sum(axis=0), (b * b).sum(axis=0), (a * b).sum(axis=0)
            size = np.sqrt(a2) * np.sqrt(b2)
            widest = max(widest, float((np.abs(inner) / np.maximum(size, _TINY)).max()))
            turn = a2 - b2 + np.copysign(np.hypot(a2 - b2, 2 * inner), a2 - b2)
            tangent = np.divide(2 * inner, turn, out=np.zeros_like(turn), where=inner != 0)
            cosine = 1 / np.hypot(1.0, tangent)
            sine = cosine * tangent
            for both in (columns, turned):
                a, b = both[:, left], both[:, right]
                both[:, left], both[:, right] = cosine * a + sine * b, cosine * b - sine * a
        if widest <= count * EPS:
            break
    lambdas = np.linalg.norm(columns, axis=0)
    descending = np.argsort(-lambdas)
    vectors = np.empty((count, count))
    vectors[order] = turned[:, descending]
    return lambdas[descending], vectors


def _pairings(count: int) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """List rounds in which everyone meets someone, until all have met (a round-robin)."""
    ring = [*range(count), *([-1] if count % 2 else [])]
    rounds = []
    for _ in range(len(ring) - 1):
        half = len(ring) // 2
        pairs = [(a, b) for a, b in zip(ring[:half], ring[: half - 1 : -1], strict=True)]
        met = np.array([(min(p), max(p)) for p in pairs if -1 not in p])
        rounds.append((met[:, 0], met[:, 1]))
        ring = [ring[0], ring[-1], *ring[1:-1]]
    return rounds
