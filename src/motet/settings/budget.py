"""How long to train and in what steps: batch size, epochs, patience, each from numbers of rows.

Epochs mean little by themselves: 20 of them are 40 steps for a table of 1,000 rows and 120,000 for
one of 3,000,000. So what is fixed is the number of steps, within limits on both.
"""

from collections.abc import Mapping
from math import ceil
from typing import Any

from motet.figures import counted
from motet.settings.facts import Setting

STEPS_AN_EPOCH = 100
"""Steps of an epoch that a batch size aims at."""
SMALLEST_BATCH, LARGEST_BATCH = 32, 512
LEAST_STEPS = 1_500
"""Steps in all that training has at least, as far as `MOST_EPOCHS` allows."""
MOST_EPOCHS = 300
EPOCHS = 20
"""Epochs where rows suffice for `LEAST_STEPS` and are not too many for `MOST_STEPS`."""
MOST_STEPS = 12_000
"""Steps in all above which there are fewer epochs, down to `LEAST_EPOCHS`."""
LEAST_EPOCHS = 3
_NOISY, _VERY_NOISY = 1_000, 200
"""Validation rows below which scores differ by chance from evaluation to evaluation."""


def batch_size(rows: int) -> Setting:
    """Choose a power of two that gives about `STEPS_AN_EPOCH` steps.

    Returns:
        The rows per step, and the reason.

    Example:
        >>> [batch_size(rows).value for rows in (300, 4_000, 27_000, 3_000_000)]
        [32, 32, 256, 512]
    """
    fitting = 1 << max(rows // STEPS_AN_EPOCH, 1).bit_length() - 1
    chosen = min(max(fitting, SMALLEST_BATCH), LARGEST_BATCH)
    each = counted(ceil(rows / chosen), "step")
    return Setting(chosen, f"{rows:,} training rows, {each} an epoch")


def epochs(steps: int) -> Setting:
    """Choose the number of epochs by the steps that each has.

    Returns:
        The number, and the reason.

    Example:
        >>> [epochs(steps).value for steps in (3, 30, 100, 600, 6_000)]
        [300, 50, 20, 20, 3]
    """
    steps = max(steps, 1)
    most = max(min(EPOCHS, ceil(MOST_STEPS / steps)), LEAST_EPOCHS)
    least = min(ceil(LEAST_STEPS / steps), MOST_EPOCHS)
    chosen = max(most, least)
    why = f"{counted(chosen * steps, 'step')} in all, {counted(steps, 'step')} an epoch"
    return Setting(chosen, why)


def patience(given: Mapping[str, Any], count: int, steps: int, every: Any) -> Setting:
    """Turn a share of training, or steps, into a number of evaluations.

    Args:
        given: ``{"share": 0.25}`` or ``{"steps": 500}``.
        count: Epochs in all.
        steps: Steps of an epoch.
        every: When to evaluate, as in ``training.evaluate_every``.

    Returns:
        The number, at least 1, and the reason.

    Example:
        >>> patience({"share": 0.25}, 40, 10, "epoch").value
        10
        >>> patience({"steps": 100}, 40, 10, {"epochs": 5}).value
        2
    """
    steps = max(steps, 1)
    if isinstance(every, int):
        between = every
    else:
        between = steps if every == "epoch" else every["epochs"] * steps
    if "share" in given:
        wanted, why = given["share"] * count * steps, f"{given['share']:.0%} of training"
    else:
        wanted, why = given["steps"], counted(given["steps"], "step")
    chosen = max(ceil(round(wanted / between, 6)), 1)
    evaluations = counted(count * steps // between, "evaluation")
    return Setting(chosen, f"{why}, of {evaluations} in all")


def smoothing(validation_rows: int) -> Setting:
    """Choose how much of the earlier evaluations the monitored value keeps.

    Returns:
        The share, and the reason.

    Example:
        >>> [smoothing(rows).value for rows in (100, 500, 5_000)]
        [0.7, 0.5, 0.0]
    """
    many = validation_rows >= _NOISY
    chosen = 0.0 if many else 0.5 if validation_rows >= _VERY_NOISY else 0.7
    noise = "enough to compare single evaluations" if many else "single evaluations are noisy"
    return Setting(chosen, f"{validation_rows:,} validation rows: {noise}")
