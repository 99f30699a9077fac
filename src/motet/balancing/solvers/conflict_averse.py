"""CAGrad: the direction within c ‖g₀‖ of the mean gradient g₀ that helps the worst-off task most.

The dual, min over the simplex of g_w·g₀ + c‖g₀‖‖g_w‖, becomes a minimum-norm problem once the
multiplier κ = c‖g₀‖ / ‖g_w‖ is known: w is the minimum-norm point of the rows g₀ + κ g_k. As κ²
grows, so does (κ‖g_w‖)², in straight pieces: one per set of tasks that count. Newton's method on
that line ends after a few exact solves.
"""

import numpy as np
from numpy.typing import NDArray

from motet.balancing.solvers.cones import min_norm_point, project_on_dual_cone
from motet.balancing.solvers.solution import (
    Array,
    Solution,
    inverse_lengths,
    judged,
    not_finite,
    solve,
    unit_rows,
)

_STEPS = 60  # 3 to 6 suffice unless 0 is almost in the hull
_TOLERANCE = 1e-10  # of the squared radius; the length of d - g₀ is then set exactly
_IN_HULL = 1e-6  # ‖Σ w g‖ / Σ w‖g‖ below this is 0, to what a Gramian can tell (the square of it)


def conflict_averse(gramian: Array, c: float) -> Solution:
    """Solve max over d of min_k g_k·d with ‖d - g₀‖ ≤ c‖g₀‖.

    If the convex hull of the rows holds 0 and no ball so small reaches a conflict, g_w is 0 and its
    direction undefined; then d is the projection of g₀ on the dual cone, which solves the problem.

    Args:
        gramian: Inner products of the rows, (T, T).
        c: Radius of the search, relative to ‖g₀‖.

    Returns:
        Weights (T,) of d itself: 1 / T + c‖g₀‖ w / ‖g_w‖.

    Example:
        >>> conflict_averse(np.diag([9.0, 16.0]), 0.5).weights.round(6)
        array([0.916164, 0.515342])
    """
    if not np.isfinite(gramian).all():
        return not_finite(len(gramian))
    count = len(gramian)
    mean = np.full(count, 1 / count)
    lengths, _ = unit_rows(gramian)
    size = lengths.max()
    if size == 0 or c == 0:
        return Solution(mean, 0.0)
    g = gramian / size**2
    with_mean = g @ mean  # g_k·g₀
    radius = c * np.sqrt(max(float(mean @ with_mean), 0.0))
    if radius <= 1e-8 * c * (lengths / size).mean():  # g₀ is 0 but for rounding
        return Solution(mean, 0.0)

    low, high, kappa2, w = 0.0, np.inf, c * c, mean
    for step in range(_STEPS):
        kappa = np.sqrt(kappa2)
        rows = (radius / c) ** 2 + kappa * (with_mean + with_mean[:, None]) + kappa2 * g
        w = min_norm_point(rows, w > 0 if step else None).weights
        norm2 = max(float(w @ g @ w), 0.0)
        short = radius**2 - kappa2 * norm2
        if abs(short) <= _TOLERANCE * radius**2:
            break
        if short > 0 and norm2 <= (_IN_HULL * (w @ lengths) / size) ** 2:
            projection = project_on_dual_cone(g, mean[None])
            moved = projection.weights[0] - mean
            if moved @ g @ moved <= radius**2:
                return Solution(projection.weights[0], projection.residual, projection.status)
        low, high = (kappa2, high) if short > 0 else (low, kappa2)
        if (1 - 1e-14) * high <= low:  # as near as rounding lets it come
            break
        kappa2 += short / _flat_norm2(g, w > 0)
        if not low < kappa2 < high:  # bisect, in the logarithm
            kappa2 = 16 * low if high == np.inf else np.sqrt(low * high) if low else high / 16
    kappa = radius / np.sqrt(max(norm2, 1e-300))
    gains = with_mean + kappa * (g @ w)  # g_k·d, equal for all with w_k > 0, no less for others
    scale = np.maximum(lengths / size, w @ lengths / size) * (1 + c) * radius / c
    residual = float(np.maximum((w @ gains - gains) / scale, 0.0).max())
    return judged(mean + kappa * w, residual)


def _flat_norm2(gramian: Array, chosen: NDArray[np.bool_]) -> float:
    """Return the squared distance from 0 of the flat through the chosen rows."""
    lengths, cosines = unit_rows(gramian[np.ix_(chosen, chosen)])
    inverse = inverse_lengths(lengths)
    cosines[np.diag_indices_from(cosines)] += 1e-12  # rows may repeat
    return 1 / max(float(inverse @ solve(cosines, inverse)), 1e-12)
