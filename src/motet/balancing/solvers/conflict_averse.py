"""CAGrad: the direction within c ‖g₀‖ of the mean gradient g₀ that helps the worst-off task most.

For a gain λ, let d(λ) be the point nearest to g₀ with g_k·d ≥ λ for every k, and D(λ) its squared
distance. d(λ) = g₀ + Jᵀx, where x solves a complementarity problem, so D grows with λ in convex,
quadratic pieces: one per set of tasks that gain no more than λ. The answer is d(λ) at the greatest
λ with D(λ) ≤ c²‖g₀‖². Newton's method with whole pieces finds it in 2 to 5 exact solves.

The sign of λ is known from d(0), the projection of g₀ on the dual cone. If a gradient is 0, or the
convex hull of the gradients contains 0, no λ > 0 is feasible.
"""

from typing import NamedTuple

import numpy as np

from motet.balancing.solvers.complementarity import Complementarity, missed
from motet.balancing.solvers.cones import min_norm_point
from motet.balancing.solvers.solution import (
    IN_HULL,
    Array,
    Solution,
    not_finite,
    solve,
    solved,
    unit_rows,
    without_rounding,
)

_STEPS = 50
_GUESSES = 12  # 3 to 8 suffice if gradients are independent
_SOUND = 1e-9  # a larger residual shows that they are not
_TOLERANCE = 1e-12  # of D; the length of d - g₀ is then set exactly
_RIDGE = 1e-13  # rows may repeat
_NO_MEAN = 1e-8  # of the mean length; a shorter mean gradient is 0, as far as a Gramian resolves


class _Point(NamedTuple):
    """d(λ): its x on the unit rows (T,), D(λ), and how far x is from a solution."""

    x: Array
    distance2: float
    residual: float


def conflict_averse(gramian: Array, c: float, tolerance: float | None = None) -> Solution:
    """Solve max over d of min_k g_k·d with ‖d - g₀‖ ≤ c‖g₀‖.

    Where no task can gain without harm to another, min_k g_k·d = 0 for many d; then d is the
    nearest to g₀ of them, its projection on the dual cone.

    Args:
        gramian: Inner products of the rows, (T, T).
        c: Radius of the search, relative to ‖g₀‖.
        tolerance: Share of the largest eigenvalue, on unit rows, below which one is rounding.

    Returns:
        Weights (T,) of d itself: 1 / T + c‖g₀‖ w / ‖g_w‖.

    Example:
        >>> conflict_averse(np.diag([9.0, 16.0]), 0.5).weights.round(6)
        array([0.916164, 0.515342])
    """
    if not np.isfinite(gramian).all():
        return not_finite(len(gramian))
    mean = np.full(len(gramian), 1 / len(gramian))
    lengths, cosines = unit_rows(gramian)
    some = lengths > 0
    if not some.any() or c == 0:
        return Solution(mean, 0.0)
    n = lengths[some] / lengths.max()
    rho = without_rounding(cosines[np.ix_(some, some)], tolerance)
    ball = _Ball(rho, n, c, len(mean))
    if ball.radius <= _NO_MEAN * c * n.sum() / len(mean):
        return Solution(mean, 0.0)
    zeros = not some.all()
    x, residual = (None if zeros else ball.guessed()) or ball.farthest(zeros=zeros)
    weights = mean
    weights[some] += x / n
    return solved(weights, residual)


class _Ball:
    """The search on unit rows, with lengths n (T',) of which the largest is 1."""

    def __init__(self, rho: Array, n: Array, c: float, count: int) -> None:
        self.rho, self.n = rho, n
        self.problem = Complementarity(rho)
        self.products = rho @ (n / count)  # of the unit rows with g₀
        self.radius = c * float(np.sqrt(max(float(n @ self.products) / count, 0.0)))
        self.upper = float((n * (self.products + self.radius)).min())  # of λ, by one task alone

    def at(self, gain: float, near: Array | None = None) -> _Point:
        """Solve for d(λ), from the tasks that bind it at a λ near by."""
        guess = None if near is None else near[None] > 0
        x, residual = self.problem.solve((self.products - gain / self.n)[None], guess)
        return _Point(x[0], max(float(x[0] @ self.rho @ x[0]), 0.0), residual)

    def guessed(self) -> tuple[Array, float] | None:
        """Exchange all tasks that are wrongly in or out of those that bind, with λ of those.

        Returns:
            x, which is the answer if it meets the conditions, and how far it misses them; None if
            none does soon.
        """
        face = self.n * self.products < self.upper
        wanted, z = self.radius**2, 1 / self.n
        ridged = self.rho + _RIDGE * np.eye(len(z))
        for _ in range(_GUESSES):
            chosen = np.flatnonzero(face)
            if not len(chosen):
                return None
            sides = np.stack([-self.products[chosen], z[chosen]], axis=1)
            try:
                fixed, moving = np.linalg.solve(ridged[chosen[:, None], chosen], sides).T
            except np.linalg.LinAlgError:
                return None
            # D(λ) = D(0) + 2λ slope + λ² bend
            slope, bend = z[chosen] @ fixed, z[chosen] @ moving
            root = slope**2 - bend * (-self.products[chosen] @ fixed - wanted)
            if bend <= 0:
                return None
            gain = (np.sqrt(max(root, 0.0)) - slope) / bend
            x = np.zeros_like(z)
            x[chosen] = fixed + gain * moving
            q = self.products - gain * z
            y = self.rho @ x + q
            wrong = np.where(face, x < 0, y < -_TOLERANCE * np.abs(q).max())
            if not wrong.any():
                length = float(np.sqrt(max(float(x @ self.rho @ x), 0.0)))
                off = abs(length / self.radius - 1)
                residual = max(float(missed(self.rho, q[None], x[None])[0]), off)
                sound = residual < _SOUND and length >= IN_HULL * x.sum()
                return (x, residual) if sound else None
            face ^= wrong
        return None

    def farthest(self, *, zeros: bool) -> tuple[Array, float]:
        """Return x at the greatest λ, and how far the conditions are missed."""
        low = float((self.n * self.products).min())
        high, point = self.upper, None
        if high > 0 or zeros:
            free = self.at(0.0)
            if free.distance2 > self.radius**2:
                high, point = 0.0, free
            elif zeros or (highest := self._highest()) is None:
                return free.x, free.residual
            else:
                low, high = max(low, 0.0), min(high, highest)
        return self._on_sphere(low, high, point or self.at(high))

    def _highest(self) -> float | None:
        """Bound λ by the minimum-norm point of the rows; None if that is 0."""
        w = min_norm_point(self.rho * self.n * self.n[:, None]).weights * self.n
        length = float(np.sqrt(max(float(w @ self.rho @ w), 0.0)))
        if length < IN_HULL * w.sum():
            return None
        return float(w @ self.products + self.radius * length)

    def _on_sphere(self, low: float, high: float, point: _Point) -> tuple[Array, float]:
        """Find the λ between two bounds at which D is the squared radius."""
        gain, wanted = high, self.radius**2
        for _ in range(_STEPS):
            excess = point.distance2 - wanted
            if abs(excess) <= _TOLERANCE * wanted:
                break
            low, high = (low, gain) if excess > 0 else (gain, high)
            new = gain + self._step(point, excess)
            gain = new if low < new < high else (low + high) / 2
            if not low < gain < high:  # as near as rounding lets it come
                break
            point = self.at(gain, point.x)
        length = float(np.sqrt(point.distance2))
        off = abs(length / self.radius - 1)
        return point.x * (self.radius / max(length, 1e-300)), max(point.residual, off)

    def _step(self, point: _Point, excess: float) -> float:
        """Return the step of λ after which D has changed by ``-excess``, on its present piece."""
        face = point.x > 0
        if not face.any():
            return np.inf
        z = 1 / self.n[face]
        steep = float(z @ point.x[face])  # D' / 2
        ridged = self.rho[np.ix_(face, face)] + _RIDGE * np.eye(len(z))
        bend = float(z @ solve(ridged, z))  # D'' / 2
        root = steep**2 - bend * excess
        if root > 0 and bend * _RIDGE < 1e-4 * (z @ z):
            return float((np.sqrt(root) - steep) / bend)
        # a corner: no piece, but the distance itself is convex
        length = float(np.sqrt(point.distance2))
        return float((self.radius - length) * length / steep)
