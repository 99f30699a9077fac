"""Learning-rate schedules: the factor on the learning rate at each step, from 0 to ``total``."""

import math
from collections.abc import Callable

from motet.options import Fraction, NonNegativeFloat, NonNegativeInt, PositiveInt, checked

LRSchedule = Callable[[int], float]


@checked
def constant(total: NonNegativeInt, *, warmup: Fraction = 0.0) -> LRSchedule:
    """Keep the learning rate.

    Args:
        total: Steps in all.
        warmup: Share of the steps over which it first rises from 0.

    Returns:
        The factor as a function of the step.
    """
    return lambda step: _warm(step, total, warmup)


@checked
def cosine(
    total: NonNegativeInt, *, warmup: Fraction = 0.05, final: NonNegativeFloat = 0.0
) -> LRSchedule:
    """Fall along half a cosine (Loshchilov & Hutter, ICLR 2017, arXiv:1608.03983), one cycle.

    Args:
        total: Steps in all.
        warmup: Share of the steps over which the learning rate first rises from 0.
        final: Factor at the end.

    Returns:
        The factor as a function of the step.
    """

    def factor(step: int) -> float:
        fall = 0.5 * (1 + math.cos(math.pi * _progress(step, total, warmup)))
        return _warm(step, total, warmup) * (final + (1 - final) * fall)

    return factor


@checked
def linear(
    total: NonNegativeInt, *, warmup: Fraction = 0.05, final: NonNegativeFloat = 0.0
) -> LRSchedule:
    """Fall along a line.

    Args:
        total: Steps in all.
        warmup: Share of the steps over which the learning rate first rises from 0.
        final: Factor at the end.

    Returns:
        The factor as a function of the step.
    """

    def factor(step: int) -> float:
        fall = 1 - _progress(step, total, warmup)
        return _warm(step, total, warmup) * (final + (1 - final) * fall)

    return factor


@checked
def step(total: NonNegativeInt, *, drops: PositiveInt = 2, factor: Fraction = 0.1) -> LRSchedule:
    """Fall in equal steps.

    Args:
        total: Steps in all.
        drops: How many times the learning rate drops, evenly spread.
        factor: What it is multiplied with at each drop.

    Returns:
        The factor as a function of the step.
    """
    return lambda now: factor ** min(drops, now * (drops + 1) // max(total, 1))


def _warm(step: int, total: int, warmup: float) -> float:
    """Rise to 1 over the warm-up; the first step already moves."""
    steps = round(warmup * total)
    return min(1.0, (step + 1) / steps) if steps else 1.0


def _progress(step: int, total: int, warmup: float) -> float:
    """Share of the way from the end of the warm-up to the last step."""
    steps = round(warmup * total)
    return min(max(step - steps, 0) / max(total - steps, 1), 1.0)
