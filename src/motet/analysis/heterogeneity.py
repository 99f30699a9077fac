"""Whether correlations of pairs of tasks differ by more than chance (Cochran, Biometrics 1954)."""

from statistics import NormalDist

import numpy as np

from motet.analysis.similarity import Similarity


def pairs_differ(found: Similarity, *, error: float = 0.01) -> bool:
    """Test whether the correlations of pairs are not all the same.

    Q = Σ (n - 1)(r - r̄)² over pairs, where r̄ is their weighted mean, has a χ² distribution if all
    correlations are equal and small: that of r is then near 1 / (n - 1). Larger common correlations
    vary less, so the test errs less often than stated.

    Args:
        found: Correlations of T tasks, with the rows of each pair; pairs that are NaN are left out.
        error: How often correlations that are the same are taken for different ones.

    Returns:
        Whether they differ; False of fewer than two pairs.

    Example:
        >>> matrix = np.array([[1, 0.6, 0], [0.6, 1, 0], [0, 0, 1]])
        >>> [pairs_differ(Similarity(("a", "b", "c"), matrix, np.full((3, 3), n))) for n in (9, 99)]
        [False, True]
    """
    upper = np.triu_indices(len(found.tasks), 1)
    values, weights = found.matrix[upper], found.counts[upper] - 1.0
    known = np.isfinite(values) & (weights > 0)
    values, weights = values[known], weights[known]
    free = len(values) - 1
    if free < 1:
        return False
    mean = weights @ values / weights.sum()
    return bool(weights @ np.square(values - mean) > _chi_square(1 - error, free))


def _chi_square(level: float, free: int) -> float:
    """Return a quantile of the χ² distribution (Wilson & Hilferty, PNAS 1931)."""
    part = 2 / (9 * free)
    return float(free * (1 - part + NormalDist().inv_cdf(level) * part**0.5) ** 3)
