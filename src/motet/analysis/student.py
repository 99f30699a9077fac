"""Student's t distribution in plain Python, so that the package needs no SciPy.

The tail is a regularised incomplete beta function, computed by its continued fraction (DLMF
8.17.22) with the method of Lentz; degrees of freedom need not be whole. Relative accuracy is about
1e-12.
"""

from functools import lru_cache
from math import exp, inf, isnan, lgamma, log, log1p, nan, pi
from statistics import NormalDist

_TINY = 1e-300


def upper_tail(t: float, freedom: float) -> float:
    """Return the probability of a value above ``t``; NaN without degrees of freedom.

    Example:
        >>> round(upper_tail(2.776445105, 4), 9)
        0.025
    """
    if isnan(t) or not freedom > 0:
        return nan
    if t == 0:
        return 0.5
    square = t * t
    tail = 0.5 * _beta(freedom / 2, 0.5, freedom / (freedom + square), square / (freedom + square))
    return tail if t > 0 else 1 - tail


@lru_cache(maxsize=1024)
def quantile(level: float, freedom: float) -> float:
    """Return the value that is exceeded with probability ``1 - level``, for ``level`` in (0, 1).

    NaN without degrees of freedom.

    Example:
        >>> round(quantile(0.975, 4), 6)
        2.776445
    """
    if not freedom > 0:
        return nan
    if level == 0.5:
        return 0.0
    return -_exceeded(level, freedom) if level < 0.5 else _exceeded(1 - level, freedom)


def _exceeded(tail: float, freedom: float) -> float:
    """Return the value that is exceeded with probability ``tail`` < 0.5.

    The tail is convex above 0 and thicker than the normal one, so Newton's steps only grow.
    """
    t = -NormalDist().inv_cdf(tail)
    while True:
        after = t + (upper_tail(t, freedom) - tail) / _density(t, freedom)
        if not after > t * (1 + 1e-15):
            return t
        t = after


def _density(t: float, freedom: float) -> float:
    constant = lgamma((freedom + 1) / 2) - lgamma(freedom / 2) - 0.5 * log(freedom * pi)
    return exp(constant - (freedom + 1) / 2 * log1p(t * t / freedom))


def _beta(a: float, b: float, x: float, rest: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b), with ``rest`` = 1 - x."""
    if x <= 0 or rest <= 0:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(b, a, rest, x)
    front = lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(rest)
    return exp(front) / a * _continued_fraction(a, b, x)


def _continued_fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1) or _TINY)
    value, before, m = d, inf, 0
    while abs(value - before) > 1e-16 * abs(value):
        before, m = value, m + 1
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / (1 + term * d or _TINY)
            c = 1 + term / c or _TINY
            value *= c * d
    return value
