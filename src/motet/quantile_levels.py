"""Levels of quantiles: which of several is the prediction, and how they are spelt."""

from collections.abc import Sequence


def middle(levels: Sequence[float]) -> int:
    """Return the place of the median, or of the middle level where 0.5 is none of them.

    Example:
        >>> middle([0.1, 0.5, 0.9, 0.99]), middle([0.2, 0.8]), middle([0.9])
        (1, 0, 0)
    """
    return levels.index(0.5) if 0.5 in levels else (len(levels) - 1) // 2


def spelt(level: float) -> str:
    """Return how columns and notes name a level: the shortest decimal.

    Example:
        >>> spelt(0.1), spelt(0.975)
        ('0.1', '0.975')
    """
    return repr(float(level))
