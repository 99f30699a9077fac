"""Nash and FairGrad: (Gw)_k = w_k^(-1/α), w > 0, by damped Newton.

On unit rows, with u_k = n_k w_k, this is u_k (ρu)_k = b_k, where b_k = (n_k / u_k)^(1/α - 1): the
stationary point of the strictly convex

    ½ uᵀρu - Σ b_k / (1 - 1/α)        (Σ log u_k in place of the sum for α = 1)

on u > 0. It exists exactly if 0 is not in the convex hull of the rows: then some direction has a
positive product with each, and otherwise u grows without end. As α grows, u spreads over orders of
magnitude, u_k = gain_k^(-α) / n_k^(α-1) for tasks that do not bind; so α is doubled from one
solution to the next, each of which is a start for the other.
"""

from typing import NamedTuple

import numpy as np

from motet.balancing.solvers.cones import min_norm_point
from motet.balancing.solvers.solution import (
    IN_HULL,
    Array,
    Solution,
    all_zero,
    not_finite,
    solve,
    solved,
    unit_rows,
    without_rounding,
)

ZERO_ROWS = "a gradient is 0: its weight is 0, and the others are solved without it"
STATIONARY = (
    "0 is in the convex hull of the gradients, so no direction improves every task: "
    "the weights of their minimum-norm combination, whose direction is 0"
)

_STEPS = 60  # 5 to 15 suffice unless 0 is almost in the hull
_TOLERANCE = 1e-11
_ON_THE_WAY = 1e-4  # for an α that only leads to another
_FIRST = (0.5, 2.0)  # α between these are solved at once
_FAR = 0.1  # of b / α: a task with less u² is far better off than others
_SHORTEST = 1.1  # ratio of one α to the next
_LONGEST = 20.0  # step of a log u


def fair_weights(gramian: Array, alpha: float = 1.0, tolerance: float | None = None) -> Solution:
    """Solve (Gw)_k = w_k^(-1/α); α = 1 is Nash bargaining.

    Args:
        gramian: Inner products of the rows, (T, T).
        alpha: Fairness > 0: 0 is the sum, 1 proportional (Nash), infinity max-min.
        tolerance: Share of the largest eigenvalue, on unit rows, below which one is rounding.

    Returns:
        Positive weights (T,). The status reports if there are none, and what is returned instead.

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
    n, rho = lengths[some] / size, without_rounding(cosines[np.ix_(some, some)], tolerance)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # the residual shows it
        log_u, residual, missed = _continued(rho, np.log(n), alpha)
        u = np.exp(log_u)
        solution = solved(u / n, residual)
        span = _span(rho, u)
    if not (missed <= 1e-6 and span >= IN_HULL):
        v = min_norm_point(rho).weights
        if _span(rho, v) < IN_HULL:
            solution = Solution(v / n, residual, STATIONARY)
    weights = np.zeros_like(lengths)
    weights[some] = solution.weights * size ** (-2 * alpha / (1 + alpha))
    status = solution.status if some.all() else ZERO_ROWS
    return Solution(weights, solution.residual, status)


class _Found(NamedTuple):
    """log u, and by how much b is missed: as far as rounding resolves it, and in all."""

    log_u: Array
    residual: float
    missed: float


def _continued(rho: Array, log_n: Array, alpha: float) -> _Found:
    """Solve for an α near 1, then for twice or half that, or as far as it goes, ..."""
    at = min(max(alpha, _FIRST[0]), _FIRST[1])
    found = _from_orthogonal(rho, log_n, at, alpha)
    if not found.residual <= _ON_THE_WAY and at != 1:
        at = 1.0
        found = _from_orthogonal(rho, log_n, at, alpha)
    ratio = 2.0
    while at != alpha and found.residual <= _ON_THE_WAY:
        new = min(at * ratio, alpha) if alpha > at else max(at / ratio, alpha)
        start = found.log_u + (new - at) * _along(rho, log_n, found.log_u, at)
        next_one = _newton(rho, log_n, start, new, alpha)
        if next_one.residual <= _ON_THE_WAY:
            at, found = new, next_one
        elif ratio > _SHORTEST:
            ratio = np.sqrt(ratio)
        else:
            return next_one
    return found


def _from_orthogonal(rho: Array, log_n: Array, alpha: float, final: float) -> _Found:
    """Solve from the best multiple of the solution for orthogonal rows."""
    log_u = log_n * ((1 - alpha) / (1 + alpha))
    u = np.exp(log_u)
    flat = float(u @ rho @ u)
    if flat > 0:
        powers = np.exp((log_n - log_u) * (1 / alpha - 1)).sum()
        log_u = log_u + alpha / (1 + alpha) * np.log(powers / flat)
    return _newton(rho, log_n, log_u, alpha, final)


def _newton(rho: Array, log_n: Array, log_u: Array, alpha: float, final: float) -> _Found:
    """Minimise from a start, in relative steps s = Δu / u; roughly if α is not the final one.

    Where b / α outweighs u², as for tasks far better off than others, u changes by orders of
    magnitude: there the step is one of log u.

    Returns:
        The solution, or the last step.
    """
    magnitudes, power = np.abs(rho), 1 / alpha - 1
    tolerance = _TOLERANCE if alpha == final else _ON_THE_WAY
    wide = not _FIRST[0] <= alpha <= _FIRST[1]
    u = np.exp(log_u)
    gains, wanted = rho @ u, np.exp((log_n - log_u) * power - log_u)  # (ρu)_k and b_k / u_k
    for step in range(_STEPS + 1):
        gap = wanted - gains
        # an equation is met if the gap is small beside b, or beside what cancels in the gain
        residual = float((np.abs(gap) / (wanted + 1e-4 * (magnitudes @ u))).max())
        span2 = (u @ gains) / u.sum() ** 2
        if not residual > tolerance or span2 < IN_HULL**2 or step == _STEPS:  # NaN: too far
            break
        s = _relative(rho, u, wanted / alpha, gap)
        slope = float((gap * u) @ s)
        near, beyond, t = s, None, 1.0
        if wide:
            far = u < _FAR * wanted / alpha
            near, beyond = np.where(far, 0.0, s), np.where(far, s, 0.0)
            t = min(1.0, _LONGEST / max(float(np.abs(beyond).max()), 1e-9))
        t = min(t, 0.95 / max(-float(near.min()), 1e-9))
        while True:  # along the step a convex function may fall flat, but not rise steeply
            factor = 1 + t * near
            new = log_u + np.log(factor)
            if beyond is not None:
                new += t * beyond
            u = np.exp(new)
            gains, wanted = rho @ u, np.exp((log_n - new) * power - new)
            if float(((gains - wanted) * u) @ (s / factor)) <= 0.9 * slope or t < 1e-4:
                break
            t /= 2
        log_u = new
    return _Found(log_u, residual, float((np.abs(gap) / wanted).max()))


def _along(rho: Array, log_n: Array, log_u: Array, alpha: float) -> Array:
    """Return d log u / dα at a solution, from log (ρu)_k = (log n_k - log u_k) / α - log n_k."""
    u = np.exp(log_u)
    gains = rho @ u
    return _relative(rho, u, gains / alpha, gains * (log_u - log_n) / alpha**2)


def _relative(rho: Array, u: Array, own: Array, gap: Array) -> Array:
    """Solve Σ_l ρ_kl u_l s_l + own_k s_k = gap_k, brought to a unit diagonal."""
    diagonal = u + own
    side = np.sqrt(u / diagonal)
    system = rho * side * side[:, None]
    system.flat[:: len(u) + 1] = 1.0
    changes = side * solve(system, side * gap)  # u_l s_l
    relative: Array = (gap - (rho @ changes - changes)) / diagonal
    return relative


def _span(rho: Array, u: Array) -> float:
    """Return ‖Σ u ĝ‖ / Σ u."""
    return float(np.sqrt(max(float(u @ rho @ u), 0.0)) / u.sum())
