"""Projection on the simplex {w ≥ 0, Σw = 1}."""

import numpy as np

from motet.balancing.solvers.solution import Array


def project_on_simplex(point: Array) -> Array:
    """Find the point of the simplex that is nearest to ``point`` (T,).

    By sorting (Held, Wolfe & Crowder, Math. Programming 1974): it is max(v - ϑ, 0), with ϑ such
    that it sums to 1. NaN in gives NaN out.

    Returns:
        The nearest point (T,).

    Example:
        >>> project_on_simplex(np.array([0.5, 0.2, -0.1])).round(5)
        array([0.63333, 0.33333, 0.03333])
    """
    if not np.isfinite(point).all():
        return np.full(len(point), np.nan)
    shifted = point - point.max()  # the projection does not see a shift; this one keeps digits
    descending = np.sort(shifted)[::-1]
    thresholds = (np.cumsum(descending) - 1) / np.arange(1, len(point) + 1)
    last = np.flatnonzero(descending > thresholds)[-1]
    nearest: Array = np.maximum(shifted - thresholds[last], 0.0)
    return nearest
