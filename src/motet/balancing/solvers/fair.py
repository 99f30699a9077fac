"""Nash and FairGrad: (Gw)_k = w_k^(-1/α), w > 0, by damped Newton.

On unit rows, with u_k = n_k w_k, this is u_k (ρu)_k = b_k, where b_k = (n_k / u_k)^(1/α - 1): the
stationary point of the strictly convex

    ½ uᵀρu - Σ b_k / (1 - 1/α)        (Σ log u_k in place of the sum for α = 1)

on u > 0. It exists exactly if 0 is not in the convex hull of the rows: then some direction has a
positive product with each, and otherwise u grows without end.
"""

import numpy as np

from motet.balancing.solvers.cones import min_norm_point
from motet.balancing.solvers.solution import (
    IN_HULL,
    Array,
    Solution,
    all_zero,
    judged,
    not_finite,
    solve,
    unit_rows,
)

ZERO_ROWS = "a gradient is 0: its weight is 0, and the others are solved without it"
STATIONARY = (
    "0 is in the convex hull of the gradients, so no direction improves every task: "
    "the weights of their minimum-norm combination, whose direction is 0"
)

_STEPS = 100  # 5 to 12 suffice unless 0 is almost in the hull
_TOLERANCE = 1e-11


def fair_weights(gramian: Array, alpha: float = 1.0) -> Solution:
    """Solve (Gw)_k = w_k^(-1/α); α = 1 is Nash bargaining.

    Args:
        gramian: Inner products of the rows, (T, T).
        alpha: Fairness > 0: 0 is the sum, 1 proportional (Nash), infinity max-min.

    Returns:
        Positive weights (T,). The status says if there are none, and what is given instead.

    Example:
        >>> fair_weights(np.diag([9.0, 16.0])).weights.round(6)
        array([0.333333, 0.25    ])
    """
    if not np.isfinite(gramian).all():
        return not_finite(len(gramian))
    lengths, cosines = unit_rows(gramian)
    some = lengths > 0
    if not some.any():
        return all_zero(len(gramian))
    size = np.exp(np.log(lengths[some]).mean())  # solved for rows of geometric mean length 1
    n, rho = lengths[some] / size, cosines[np.ix_(some, some)]
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # the residual tells
        u, residual, missed = _newton(rho, n, alpha)
    solution = judged(u / n, residual)
    if missed > 1e-6 or _span(rho, u) < IN_HULL:
        v = min_norm_point(rho).weights
        if _span(rho, v) < IN_HULL:
            solution = Solution(v / n, residual, STATIONARY)
    weights = np.zeros_like(lengths)
    weights[some] = solution.weights * size ** (-2 * alpha / (1 + alpha))
    status = solution.status if some.all() else ZERO_ROWS
    return Solution(weights, solution.residual, status)


def _newton(rho: Array, n: Array, alpha: float) -> tuple[Array, float, float]:
    """Minimise from the best multiple of the solution for orthogonal rows.

    Returns:
        u, and how far b is missed: as far as rounding lets it be told, and at all.
    """
    u, power, magnitudes = n ** ((1 - alpha) / (1 + alpha)), 1 / alpha - 1, np.abs(rho)
    flat = float(u @ rho @ u)
    if flat > 0:
        u = u * (float(((n / u) ** power).sum()) / flat) ** (alpha / (1 + alpha))
    pull, b = u * (rho @ u), (n / u) ** power
    for step in range(_STEPS + 1):
        gap = b - pull
        # an equation is met if the gap is small beside b, or beside what cancels in the pull
        residual = float((np.abs(gap) / (b + 1e-4 * u * (magnitudes @ u))).max())
        span2 = float(pull.sum()) / float(u.sum()) ** 2
        if residual <= _TOLERANCE or span2 < IN_HULL**2 or step == _STEPS:
            break
        # relative steps s = Δu / u: (UρU + B/α) s = b - Uρu, brought to a unit diagonal
        scale = 1 / np.sqrt(u * u + b / alpha)
        side = u * scale
        hessian = rho * side * side[:, None]
        hessian.flat[:: len(u) + 1] = 1.0
        s = scale * solve(hessian, scale * gap)
        slope = float(gap @ s)
        t = min(1.0, 0.95 / max(-float(s.min()), 1e-9))
        while True:  # along the step a convex function may fall flat, but not rise steeply
            factor = 1 + t * s
            new = u * factor
            pull, b = new * (rho @ new), (n / new) ** power
            if float((pull - b) @ (s / factor)) <= 0.9 * slope or t < 1e-4:
                break
            t /= 2
        u = new
    return u, residual, float((np.abs(gap) / b).max())


def _span(rho: Array, u: Array) -> float:
    """Return ‖Σ u ĝ‖ / Σ u."""
    return float(np.sqrt(max(float(u @ rho @ u), 0.0)) / u.sum())
