"""Calibration of class probabilities by one number, the temperature.

Logits are divided by it: above 1 makes probabilities less sure, below 1 more; predicted classes
stay (Guo et al., ICML 2017, arXiv:1706.04599). It is fitted on rows that did not train the model.
"""

from collections.abc import Callable
from math import exp, log, sqrt
from typing import Any

import numpy as np

from motet.analysis.numbers import as_numbers
from motet.problems import InputError

LOWEST, HIGHEST = 0.1, 10.0
"""Temperatures that are searched; those at the ends are of models without use or without error."""
_GOLDEN, _ROUNDS = (sqrt(5) - 1) / 2, 40


def temperature(logits: Any, labels: Any) -> float:
    """Fit the temperature of class logits.

    Args:
        logits: (N, C), up to a number for each row, so that logarithms of probabilities will do.
        labels: Places of the true classes, (N,).

    Returns:
        The temperature with the lowest mean -log probability of the true class.

    Raises:
        InputError: If logits or labels are not numbers of fitting shapes.

    Example:
        >>> sure = [[0.0, 9.0]] * 3 + [[9.0, 0.0]] * 3  # of which a third is wrong
        >>> round(temperature(sure, [1, 1, 0, 0, 0, 1]), 2)
        10.0
    """
    scores, places = as_numbers(logits, "logits"), as_numbers(labels, "labels").astype(int)
    if scores.ndim != 2 or places.shape != scores.shape[:1] or not len(places):
        raise InputError(
            f"found logits {scores.shape} and labels {places.shape}; expected (N, C) and (N,)"
        )
    if places.min() < 0 or places.max() >= scores.shape[1]:
        raise InputError(
            f"found labels from {places.min()} to {places.max()}; expected places of "
            f"{scores.shape[1]} classes, from 0 on",
            option="labels",
        )
    highest = scores.max(axis=1, keepdims=True)
    if not np.isfinite(highest).all():  # NaN too
        raise InputError(
            f"found a row whose largest is {highest[~np.isfinite(highest)][0]}; expected a finite "
            "one in every row, and -inf only for classes of probability 0",
            option="logits",
        )
    lowest = np.finfo(np.float64).min / 100
    scores = np.maximum(scores - highest, lowest)  # of probability 0
    true = scores[np.arange(len(places)), places]

    def loss(value: float) -> float:
        return float((np.log(np.exp(scores / value).sum(axis=1)) - true / value).mean())

    return best_temperature(loss)


def best_temperature(loss: Callable[[float], float]) -> float:
    """Return the temperature with the lowest loss, by golden-section search on its logarithm.

    Args:
        loss: Of a temperature; it falls and then rises, as the log loss of logits does.
    """
    low, high = log(LOWEST), log(HIGHEST)
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    of_left, of_right = loss(exp(left)), loss(exp(right))
    for _ in range(_ROUNDS):
        if of_left <= of_right:
            high, right, of_right = right, left, of_left
            left = high - _GOLDEN * (high - low)
            of_left = loss(exp(left))
        else:
            low, left, of_left = left, right, of_right
            right = low + _GOLDEN * (high - low)
            of_right = loss(exp(right))
    return exp((low + high) / 2)
