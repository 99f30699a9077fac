"""The linear complementarity problem behind minimum-norm points and cone projections.

Given M (T, T), positive semi-definite with a diagonal near 1, and q, find x with

    x ≥ 0,    y = M x + q ≥ 0,    x·y = 0.

If the face {k: x_k > 0} is known, x solves a linear system. Block pivoting (Júdice & Pires 1994;
Kim & Park 2011 for several right-hand sides) guesses the face and exchanges all wrong entries at
once: 3 to 6 systems, those of all right-hand sides together. A face of more than T / 2 is solved
through the entries that are not on it, with the inverse of M.

Where M is nearly singular, block pivoting cycles. There M + εI is solved first: block
pivoting is then Newton's method on a strictly convex function, piecewise quadratic, and an exact
line search makes it end (Qi & Sun 1993). What ε moved is taken back by proximal steps, in which
ε stands for the distance from the solution before. Right-hand sides start from the solution of
their sum, as they share a cone.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from motet.balancing.solvers.solution import Array, solve

Faces: TypeAlias = NDArray[np.bool_]  # (N, T)

_TOLERANCE = 1e-11  # a sign is wrong beyond this share of the largest entry
_SINGULAR = 1e-8  # a determinant below this share of its terms has lost half of its digits
_PIVOTS = 8  # 3 to 5 suffice where M is sound
_COARSE, _FINE = 1e-6, 1e-9  # ε; through the inverse of M + εI, a smaller one loses the faces
_FINER = (1e-6, 1e-6, 1e-9, 1e-11, 1e-13, 1e-13)  # ε of proximal steps
_STEPS = 100  # 5 to 40 suffice
_PLAIN = 3  # steps before the line search: in a wide cone it is not needed, and slower
_THIN = 0.8  # a cone is thin if projecting the sum on it leaves less of its square
_NEAR = 1e-6  # products of a combination with the rows below this may be 0
_ROUNDING = 1e-14  # an entry of y above minus this share of q may be 0
_MET = 1e-12  # a residual that rounding accounts for


class Complementarity:
    """Problems with one M and any number of q.

    Args:
        matrix: M (T, T).
    """

    def __init__(self, matrix: Array) -> None:
        self.matrix = matrix
        self._faces: _Faces | None = None

    def solve(
        self, q: Array, guess: Faces | None = None, combinations: Array | None = None
    ) -> tuple[Array, float]:
        """Solve for every row of q (N, T).

        Args:
            q: Right-hand sides, (N, T).
            guess: Faces of similar problems, (N, T).
            combinations: u (N, T) with q = u M, if there are several right-hand sides of this kind.

        Returns:
            x (N, T), and the worst max |min(x, y)| / max |q|.
        """
        x = _of_two(self.matrix, q)
        if x is None:
            x = self._solved(q, guess, combinations)
        return x, float(missed(self.matrix, q, x).max())

    def _solved(self, q: Array, guess: Faces | None, combinations: Array | None) -> Array:
        low = -_TOLERANCE * np.abs(q).max(axis=1, keepdims=True)
        negative = q < low
        face = negative.copy() if guess is None else guess.copy()
        x, unsolved = np.zeros_like(q), np.flatnonzero(negative.any(axis=1))
        if not len(unsolved):
            return x
        if self._faces is None:
            self._faces = _Faces(self.matrix, _sound_inverse(self.matrix))
        if self._faces.inverse is not None:
            unsolved = _pivot(self._faces, q, face, x, unsolved)
        if len(unsolved):
            u = None if combinations is None or len(unsolved) == 1 else combinations[unsolved]
            x[unsolved] = _regularised(self.matrix, q[unsolved], face[unsolved], u)
        positive: Array = np.maximum(x, 0.0)
        return positive


def missed(matrix: Array, q: Array, x: Array) -> Array:
    """Return how far each row of x (N, T) is from a solution: max |min(x, y)| / max |q|, (N,)."""
    scale = np.abs(q).max(axis=1)
    off = np.abs(np.minimum(x, x @ matrix + q)).max(axis=1)
    relative: Array = np.divide(off, scale, out=off, where=scale > 0)
    return relative


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


# Systems on faces ------------------------------------------------------------------------------


class _Faces:
    """Solves A_FF x_F = -q_F, 0 elsewhere, for many faces F at once."""

    def __init__(self, matrix: Array, inverse: Array | None = None) -> None:
        self.count = count = len(matrix)
        self.inverse = inverse
        # a row and column of zeros stand for the entries that a smaller face does not have
        self.padded = np.zeros((1 if inverse is None else 2, count + 1, count + 1))
        self.padded[0, :count, :count] = matrix
        if inverse is not None:
            self.padded[1, :count, :count] = inverse
        self.everyone = np.arange(count)

    def solve(self, q: Array, face: Faces) -> Array:
        """Return x (N, T) for q (N, T) and faces (N, T)."""
        if len(q) == 1:
            x, chosen = np.zeros_like(q), np.flatnonzero(face[0])
            x[0, chosen] = -solve(self.padded[0][chosen[:, None], chosen], q[0, chosen])
            return x
        if self.inverse is None:
            return -self._reduced(q, face, None)
        large = face.sum(axis=1, keepdims=True) > self.count / 2
        if not large.any():
            return -self._reduced(q, face, None)
        # the few y off a large face: (A⁻¹)_CC y_C = (A⁻¹q)_C
        z = self._reduced(np.where(large, q @ self.inverse, q), face ^ large, large)
        return np.where(large, np.where(face, (z - q) @ self.inverse, 0.0), -z)

    def _reduced(self, rhs: Array, chosen: Faces, second: Faces | None) -> Array:
        """Solve B_SS z_S = r_S, 0 elsewhere; B is the matrix, or its inverse where ``second``."""
        count, size = len(rhs), self.count + 1
        sizes = chosen.sum(axis=1)
        width = int(sizes.max())
        entries = np.where(chosen, self.everyone, self.count)
        entries.sort(axis=1)  # those chosen come first
        entries = entries[:, :width]
        places = entries[:, :, None] * size + entries[:, None, :]
        if second is not None:
            places += (second * (size * size))[:, :, None]
        systems = self.padded.take(places)
        systems.reshape(count, -1)[:, :: width + 1] += entries == self.count
        at = entries + np.arange(0, count * size, size)[:, None]
        padded = np.zeros((count, size))
        padded[:, :-1] = rhs
        wanted = padded.take(at)
        wanted *= entries < self.count
        padded.fill(0.0)
        padded.put(at, solve(systems, wanted))
        return padded[:, :-1]


def _sound_inverse(matrix: Array) -> Array | None:
    """Invert M, unless it is near enough to singular to spoil the faces."""
    try:
        np.linalg.cholesky(matrix)
        inverse = _inverse(matrix)
    except np.linalg.LinAlgError:
        return None
    return inverse if inverse.diagonal().max() < 1e4 else None


def _inverse(matrix: Array) -> Array:
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)


# Sound M: block pivoting -----------------------------------------------------------------------


def _pivot(
    faces: _Faces, q: Array, face: Faces, x: Array, rows: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Exchange all wrong entries until none is; changes face and x, returns the rows left open."""
    matrix = faces.padded[0, :-1, :-1]
    for _ in range(_PIVOTS):
        if not len(rows):
            break
        here, wanted = face[rows], q[rows]
        solved = faces.solve(wanted, here)
        y = solved @ matrix + wanted
        x[rows] = solved
        low = -_TOLERANCE * np.where(
            here,
            np.abs(solved).max(axis=1, keepdims=True),
            np.abs(wanted).max(axis=1, keepdims=True),
        )
        wrong = np.where(here, solved, y) < low
        face[rows] = here ^ wrong
        rows = rows[wrong.any(axis=1)]
    return rows


_System: TypeAlias = tuple[_Faces, Array, float]  # of M + εI; M; ε


# Any M: Newton's method on M + εI, and proximal steps --------------------------------------------


def _regularised(matrix: Array, q: Array, face: Faces, combinations: Array | None) -> Array:
    x = np.zeros_like(q)
    plain = _PLAIN
    if combinations is not None:
        total, wanted = combinations.sum(axis=0), q.sum(axis=0)[None]
        shared_face, shared = wanted < 0, np.zeros_like(wanted)
        coarse = _ridged(matrix, _COARSE)
        _newton(coarse, wanted, shared_face, shared, _PLAIN)
        shared = _refined(matrix, wanted, shared_face, shared)
        v = total + shared[0]
        vanishing = _vanishing(matrix, v)
        if vanishing is not None:  # then all rows are in it, and every projection is 0
            times = np.maximum((combinations / vanishing).max(axis=1, keepdims=True), 0.0)
            found: Array = times * vanishing - combinations
            return found
        if v @ matrix @ v < _THIN * (total @ wanted[0]):
            x, face, plain = v / len(q) - combinations, np.repeat(shared_face, len(q), axis=0), 0
    coarse = _ridged(matrix, _COARSE, through_inverse=len(q) > 1)
    _newton(coarse, q, face, x, plain)
    return _refined(matrix, q, face, x)


def _vanishing(matrix: Array, v: Array) -> Array | None:
    """Return the positive combination near v (T,) of all rows that is 0, if there is one."""
    if v.min() <= 0 or np.abs(matrix @ v).max() > _NEAR * v.min():
        return None
    ridged = matrix + _FINE * np.eye(len(matrix))
    for _ in range(2):
        v = v - solve(ridged, matrix @ v)
    return v if v.min() > 0 and np.abs(matrix @ v).max() <= _MET * v.min() else None


def _ridged(matrix: Array, ridge: float, *, through_inverse: bool = False) -> _System:
    ridged = matrix + ridge * np.eye(len(matrix))
    return _Faces(ridged, _inverse(ridged) if through_inverse else None), matrix, ridge


def _newton(
    system: _System,
    q: Array,
    face: Faces,
    x: Array,
    plain: int,
    steps: int = _STEPS,
) -> None:
    """Solve x ≥ 0, (M + εI) x + q ≥ 0, x·(...) = 0; changes x and face (N, T).

    With d = Jᵀx + g, where y = J d, x minimises ‖d - g‖² / 2 + ‖min(y, 0)‖² / 2ε. A step solves on
    the face {y < 0}; it is cut to the least value on its way, after ``plain`` steps that are not.
    """
    faces, matrix, ridge = system
    y = x @ matrix + q
    low = -_ROUNDING * np.abs(q).max(axis=1, keepdims=True)
    rows = np.arange(len(q))
    for step in range(steps):
        here, wanted = face[rows], q[rows]
        solved = faces.solve(wanted, here)
        reached = solved @ matrix + wanted
        new = np.where(here, solved > 0, reached < low[rows])
        left = (new != here).any(axis=1)
        if step >= plain and left.any():
            before, at = x[rows], y[rows]
            share = _least(before, at, solved - before, reached - at, ridge)
            cut = (share < 1) & left[:, None]
            solved = np.where(cut, before + share * (solved - before), solved)
            reached = np.where(cut, at + share * (reached - at), reached)
            new = np.where(cut, reached < low[rows], new)
        x[rows], y[rows], face[rows] = solved, reached, new
        rows = rows[left]
        if not len(rows):
            break


def _least(x: Array, y: Array, along: Array, rise: Array, ridge: float) -> Array:
    """Find where from x along a step (N, T) the function of `_newton` is least.

    Its slope grows in straight pieces, which break where an entry of y changes its sign.

    Returns:
        Shares of the step, (N, 1).
    """
    negative = (y < 0) | ((y == 0) & (rise < 0))
    constant, linear = y * rise / ridge, rise * rise / ridge
    at_start = ((x * rise).sum(axis=1) + (constant * negative).sum(axis=1))[:, None]
    growth = ((along * rise).sum(axis=1) + (linear * negative).sum(axis=1))[:, None]
    crossing = (np.where(negative, rise, -rise) > 0) & (np.abs(y) < np.abs(rise))
    breaks = np.divide(-y, rise, out=np.ones_like(y), where=crossing)
    order = breaks.argsort(axis=1)
    rows = np.arange(len(y))[:, None]
    sign = np.where(negative, -1.0, 1.0) * crossing
    breaks = breaks[rows, order]
    before = np.concatenate([at_start, at_start + np.cumsum((constant * sign)[rows, order], 1)], 1)
    slope = np.concatenate([growth, growth + np.cumsum((linear * sign)[rows, order], 1)], 1)
    ends = np.concatenate([breaks, np.ones_like(at_start)], axis=1)
    rising = before + ends * slope >= 0
    piece = rising.argmax(axis=1)[:, None]
    numerator, denominator = before[rows, piece], slope[rows, piece]
    share = np.divide(-numerator, denominator, out=np.ones_like(numerator), where=denominator > 0)
    usable = rising.any(axis=1)[:, None] & (share > 0)
    return np.where(usable, np.minimum(share, 1.0), 1.0)


def _refined(matrix: Array, q: Array, face: Faces, x: Array) -> Array:
    """Take back what ε moved, in proximal steps with the same ε, then a finer one; changes face."""
    best = np.maximum(x, 0.0)
    off = missed(matrix, q, best)
    for ridge in _FINER:
        rows = np.flatnonzero(off > _MET)
        if not len(rows):
            break
        here, found = face[rows], best[rows]
        _newton(_ridged(matrix, ridge), q[rows] - ridge * found, here, found, 0, 10)
        found = np.maximum(found, 0.0)
        new = missed(matrix, q[rows], found)
        better = new < off[rows]
        rows = rows[better]
        best[rows], face[rows], off[rows] = found[better], here[better], new[better]
    return best
