"""Split conformal prediction: intervals and sets that hold the truth as often as stated.

A score measures how badly the truth of a row fits its prediction. The threshold is the k-th
smallest of the scores of n rows that the model was not fitted on, k = ⌈(n + 1) level⌉. A new row
from the same distribution has a score up to it with probability at least ``level``, and at most
``level`` + 1/(n + 1) if no two scores are equal (Papadopoulos et al., ECML 2002; Lei et al., JASA
2018). That is a mean over rows: groups of rows may be covered more or less often.
"""

from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.analysis.numbers import Numbers, finite_numbers, share
from motet.problems import InputError

_ROUNDING = 1e-9


def fewest(level: float) -> int:
    """Return the number of scores that a level needs.

    Example:
        >>> fewest(0.9), fewest(0.95)
        (9, 19)
    """
    return ceil(level / (1 - share(level, "level")) - _ROUNDING)


def threshold(scores: Any, level: float) -> float:
    """Return the score that a new row exceeds with probability 1 - ``level`` at most.

    Args:
        scores: Of rows that the model was not fitted on, (n,).
        level: Share of new rows up to the threshold.

    Returns:
        The ⌈(n + 1) level⌉-th smallest score.

    Raises:
        InputError: If there are too few scores for the level, or one is not finite.

    Example:
        >>> threshold(range(1, 20), 0.9)
        18.0
    """
    found = finite_numbers(scores, "scores")
    require(len(found), level)
    place = ceil((len(found) + 1) * level - _ROUNDING) - 1
    return float(np.partition(found, place)[place])


def require(count: int, level: float) -> None:
    """Check that so many scores suffice for a level.

    Raises:
        InputError: If not, or the level is not between 0 and 1.
    """
    if count < fewest(level):
        raise InputError(
            f"found {count} labelled rows of calibration; a level of {level:g} needs at least "
            f"{fewest(level)}; calibrate on more rows, or choose a lower level"
        )


def residual_scores(values: Any, targets: Any, scales: Any = 1.0) -> Numbers:
    """Return |y - ŷ| / scale, of which intervals are ŷ ± threshold · scale.

    Args:
        values: Predictions, (N,).
        targets: True numbers, (N,).
        scales: How far apart the truth of each row may be, (N,): intervals are wider where it is
            larger (Lei et al., section 5.2).

    Returns:
        Scores, (N,).
    """
    found: Numbers = np.abs(np.subtract(targets, values)) / scales
    return found


def quantile_scores(low: Any, high: Any, targets: Any) -> Numbers:
    """Return max(low - y, y - high), of which intervals are [low - threshold, high + threshold].

    Conformalised quantile regression (Romano et al., NeurIPS 2019, arXiv:1905.03222).

    Args:
        low: Lower quantiles, (N,).
        high: Upper quantiles, (N,).
        targets: True numbers, (N,).

    Returns:
        Scores, (N,); negative inside.
    """
    found: Numbers = np.maximum(np.subtract(low, targets), np.subtract(targets, high))
    return found


def class_scores(probabilities: Numbers, labels: NDArray[np.int64]) -> Numbers:
    """Return 1 - the probability of the true class, of which `class_sets` makes sets.

    Least ambiguous sets (Sadinle et al., JASA 2019, arXiv:1609.00451).

    Args:
        probabilities: (N, C).
        labels: Places of the true classes, (N,).

    Returns:
        Scores, (N,).
    """
    found: Numbers = 1 - probabilities[np.arange(len(labels)), labels]
    return found


def class_sets(probabilities: Numbers, limit: float) -> NDArray[np.bool_]:
    """Return which classes cannot be excluded, (N, C); never none of a row.

    Args:
        probabilities: (N, C).
        limit: The threshold of `class_scores`.
    """
    sets: NDArray[np.bool_] = 1 - probabilities <= limit
    sets[np.arange(len(sets)), probabilities.argmax(axis=1)] = True
    return sets
