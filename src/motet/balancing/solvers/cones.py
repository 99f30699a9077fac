"""Minimum-norm point and dual-cone projection: one complementarity problem, solved on its faces.

Both are: given M (T, T), positive semi-definite with a unit diagonal, and q, find x with

    x ≥ 0,    y = M x + q ≥ 0,    x·y = 0.

If the face {k: x_k > 0} is known, x solves a linear system. Block pivoting (Júdice & Pires 1994;
Kim & Park 2011 for several right-hand sides) guesses the face and exchanges all wrong entries at
once: 1 to 6 systems instead of T. A face of more than T / 2 is solved through the entries that are
not on it, with the inverse of M, so that no system is larger. The few right-hand sides for which
the guesses go in circles (rank-deficient M) are solved by active set (Lawson & Hanson 1974), one
entry at a time.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from motet.balancing.solvers.solution import (
    Array,
    Solution,
    inverse_lengths,
    judged,
    not_finite,
    solve,
    unit_rows,
)

Faces: TypeAlias = NDArray[np.bool_]  # (N, T)

_RIDGE = 1e-13  # added to the unit diagonal, so that singular faces have a least-norm solution
_TOLERANCE = 1e-11  # a sign is wrong beyond this share of the largest entry
_SINGULAR = 1e-8  # a determinant below this share of its terms has lost half of its digits
_ROUNDING = 1e-14  # below this share of what was summed up, q is 0


def min_norm_point(gramian: Array, guess: Faces | None = None) -> Solution:
    """Find the point of least norm in the convex hull of the rows: min wᵀGw, w ≥ 0, Σw = 1.

    With unit rows and z_k = min(n) / n_k, the problem is min ‖Ĵᵀv‖² + (z·v - 1)², v ≥ 0, and then
    w_k ∝ v_k / n_k. If rows are 0, they share the weight.

    Args:
        gramian: Inner products of the rows, (T, T).
        guess: Which rows will have weight, (T,), if a similar problem was solved before.

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
    face = None if guess is None else guess[None]
    v, residual = _complementary(cosines + np.outer(z, z), -z[None], face)
    weights = v[0] * z  # not v / lengths: no overflow
    return judged(weights / weights.sum(), residual)


def project_on_dual_cone(gramian: Array, combinations: Array) -> Solution:
    """Project combinations of the rows on their dual cone, the d with g_k·d ≥ 0 for every k.

    The projection of Jᵀu is Jᵀv, where v minimises vᵀGv over v ≥ u.

    Args:
        gramian: Inner products of the rows, (T, T).
        combinations: Weights u of N combinations, (N, T).

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
    q = u @ cosines
    q[np.abs(q).max(axis=1) <= _ROUNDING * np.abs(u).sum(axis=1)] = 0.0
    x, residual = _complementary(cosines, q)
    return judged(combinations + size * x * inverse_lengths(lengths), residual)


def _complementary(
    matrix: Array, q: Array, guess: Faces | None = None, *, repaired: bool = False
) -> tuple[Array, float]:
    """Solve for every row of q (N, T); give x (N, T) and the worst max |min(x, y)| / max |q|."""
    scale = np.abs(q).max(axis=1, keepdims=True)
    x = _of_two(matrix, q)
    if x is not None:
        return x, _missed(matrix, q, x, scale)
    free = q < -_TOLERANCE * scale if guess is None else guess.copy()
    x, open_rows = np.zeros_like(q), np.flatnonzero(free.any(axis=1))
    inverse = _sound_inverse(matrix) if len(open_rows) > 1 else None
    for _ in range(12):
        if not len(open_rows):
            break
        face = free[open_rows]
        solved, y = _on_face(matrix, q[open_rows], face, inverse)
        x[open_rows] = solved
        too_low = -_TOLERANCE * np.where(
            face, np.abs(solved).max(axis=1, keepdims=True), scale[open_rows]
        )
        wrong = np.where(face, solved, y) < too_low
        free[open_rows] = face ^ wrong
        open_rows = open_rows[wrong.any(axis=1)]
    for row in open_rows:
        x[row] = _one_by_one(matrix, q[row])
    x = np.maximum(x, 0.0)
    residual = _missed(matrix, q, x, scale)
    if residual > 1e-8 and not repaired:  # float32 Gramians may have slightly negative eigenvalues
        values, vectors = np.linalg.eigh(matrix)
        matrix = (vectors * np.maximum(values, 0.0)) @ vectors.T
        return _complementary(matrix, q, free, repaired=True)
    return x, residual


def _missed(matrix: Array, q: Array, x: Array, scale: Array) -> float:
    missed = np.abs(np.minimum(x, x @ matrix + q)).max(axis=1, keepdims=True)
    return float(np.divide(missed, scale, out=missed, where=scale > 0).max())


def _of_two(matrix: Array, q: Array) -> Array | None:
    """Solve for T = 2 by trying the four faces; None for more, or where M is near to singular."""
    if len(matrix) != 2:
        return None
    (a, b), (_, c) = matrix.tolist()
    det = a * c - b * b
    if det <= _SINGULAR * a * c:
        return None
    x = []
    for first, second in q.tolist():
        if first >= 0 and second >= 0:
            x.append((0.0, 0.0))
        elif first < 0 and second * a >= b * first:
            x.append((-first / a, 0.0))
        elif second < 0 and first * c >= b * second:
            x.append((0.0, -second / c))
        else:
            x.append(((b * second - c * first) / det, (b * first - a * second) / det))
    return np.array(x)


def _on_face(matrix: Array, q: Array, face: Faces, inverse: Array | None) -> tuple[Array, Array]:
    """Solve M_FF x_F = -q_F, 0 elsewhere, for N faces (N, T) at once; give x and y = M x + q."""
    ridged = matrix.copy()
    ridged.flat[:: len(matrix) + 1] += _RIDGE
    large = (face.sum(axis=1) > len(matrix) / 2) & (inverse is not None)
    x = np.zeros_like(q)
    if not large.all():
        x[~large] = -_reduced(ridged, q[~large], face[~large])
    if inverse is not None and large.any():  # the few y off the face: (M⁻¹)_CC y_C = (M⁻¹q)_C
        y = _reduced(inverse, q[large] @ inverse, ~face[large])
        x[large] = np.where(face[large], (y - q[large]) @ inverse, 0.0)
    y = x @ matrix + q
    # one step of iterative refinement takes the ridge out again, where it is felt
    felt = (np.abs(y) * face).max(axis=1) > 100 * _RIDGE * np.abs(q).max(axis=1)
    if felt.any():
        x[felt] -= _reduced(ridged, y[felt], face[felt])
        y = x @ matrix + q
    return x, y


def _reduced(matrix: Array, rhs: Array, chosen: Faces) -> Array:
    """Solve A_SS z_S = r_S, 0 elsewhere, for N choices S (N, T) at once."""
    width = int(chosen.sum(axis=1).max())
    rows = np.arange(len(rhs))[:, None]
    entries = np.argsort(~chosen, axis=1, kind="stable")[:, :width]  # those chosen come first
    real = chosen[rows, entries]
    systems = matrix.ravel().take(entries[:, :, None] * len(matrix) + entries[:, None, :])
    systems *= real[:, :, None] & real[:, None, :]
    diagonal = np.arange(width)
    systems[:, diagonal, diagonal] += ~real
    z = np.zeros_like(rhs)
    z[rows, entries] = solve(systems, rhs[rows, entries] * real)
    return z


def _sound_inverse(matrix: Array) -> Array | None:
    """Invert M, unless it is near enough to singular to spoil the faces."""
    try:
        np.linalg.cholesky(matrix)
        inverse = np.asarray(np.linalg.inv(matrix), dtype=np.float64)
    except np.linalg.LinAlgError:
        return None
    return inverse if inverse.diagonal().max() < 1e4 else None


def _one_by_one(matrix: Array, q: Array) -> Array:
    """Solve for one q (T,) by active set: faces differ by one entry and never come again."""
    x, face, refused = np.zeros_like(q), np.zeros(len(q), dtype=bool), np.zeros(len(q), dtype=bool)
    y = q
    for _ in range(10 * len(q)):
        entering = int(np.argmin(np.where(face | refused, np.inf, y)))
        if face[entering] or refused[entering] or y[entering] >= -_TOLERANCE * np.abs(q).max():
            break
        face[entering] = True
        target, _ = _on_face(matrix, q[None], face[None], None)
        if target[0, entering] <= 0:  # only rounding says that it should enter
            face[entering], refused[entering] = False, True
            continue
        while face.any() and (target[0][face] < 0).any():
            below = face & (target[0] < 0)
            step = (x[below] / (x[below] - target[0][below])).min()
            x = x + step * (target[0] - x)
            face &= x > _TOLERANCE * np.abs(x).max()
            x[~face] = 0.0
            target, _ = _on_face(matrix, q[None], face[None], None)
        x, refused[:] = target[0], False
        y = x @ matrix + q
    return x
