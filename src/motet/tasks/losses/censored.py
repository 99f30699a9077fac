"""Likelihoods of numbers of which some are known only as bounds ("censored").

A label is an interval (low, high): a number where both are equal, else all that is known; (1000,
inf) is "above 1000". The loss of a number is minus the logarithm of its density, that of a bound
minus the logarithm of the probability of the interval (Tobin, Econometrica 26, 1958).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.special import log_ndtr

from motet.tasks.losses.elements import Reduction, reduced


def gaussian(
    raw: Tensor, target: Tensor, *, log_scale: Tensor, reduction: Reduction = "none"
) -> Tensor:
    """Return -log likelihood under Gaussian noise.

    Args:
        raw: Means, shape (B,).
        target: Intervals, shape (B, 2).
        log_scale: Logarithm of the standard deviation, shape ().
        reduction: "sum" adds the rows up.

    Returns:
        One loss per row, shape (B,), or their sum.

    Example:
        >>> at_least_0 = torch.tensor([[0.0, torch.inf]])
        >>> gaussian(torch.zeros(1), at_least_0, log_scale=torch.zeros(()))  # log 2
        tensor([0.6931])
    """
    losses = _losses(raw, target, log_scale, _gaussian_density, log_ndtr)
    return reduced(losses, reduction)


def laplace(
    raw: Tensor, target: Tensor, *, log_scale: Tensor, reduction: Reduction = "none"
) -> Tensor:
    """Return -log likelihood under Laplace noise, whose scale is the mean distance; see `gaussian`.

    Args:
        raw: Medians, shape (B,).
        target: Intervals, shape (B, 2).
        log_scale: Logarithm of the scale, shape ().
        reduction: "sum" adds the rows up.

    Returns:
        One loss per row, shape (B,), or their sum.
    """
    losses = _losses(raw, target, log_scale, _laplace_density, _laplace_log_cdf)
    return reduced(losses, reduction)


def is_exact(target: Tensor) -> Tensor:
    """Return which intervals (B, 2) are numbers, (B,)."""
    return target[..., 0] == target[..., 1]


Function = Callable[[Tensor], Tensor]


def _losses(
    raw: Tensor, target: Tensor, log_scale: Tensor, log_density: Function, log_cdf: Function
) -> Tensor:
    log_scale = log_scale.to(raw.dtype)
    exact, scale, far = is_exact(target), log_scale.exp(), target.isinf()
    # an infinite bound is replaced before the formula: chosen after it, its gradient would be NaN
    ends = (target.where(~far, 0) - raw.unsqueeze(-1)) / scale
    of_number = log_scale - log_density(ends[..., 0])
    below, above = far.unbind(dim=-1)
    return torch.where(exact, of_number, -_log_between(ends, below | exact, above, log_cdf))


def _log_between(ends: Tensor, below: Tensor, above: Tensor, log_cdf: Function) -> Tensor:
    """Return log(F(b) - F(a)) for ends a < b, (B, 2); where open below or above, without that end.

    Both are symmetric, so an interval right of the centre is mirrored: near 1, F has no digits.
    """
    low, high = ends.unbind(dim=-1)
    mirror = above | ((low > 0) & ~below)
    lower, upper = torch.where(mirror, -high, low), torch.where(mirror, -low, high)
    is_open = torch.where(mirror, above, below)
    reached = log_cdf(upper)
    gap = log_cdf(torch.where(is_open, upper - 1, lower)) - reached
    inside = (-torch.expm1(gap.clamp(max=-torch.finfo(gap.dtype).tiny))).log()
    return reached + inside.where(~is_open, 0)


def _gaussian_density(z: Tensor) -> Tensor:
    return -z.square() / 2 - math.log(2 * math.pi) / 2


def _laplace_density(z: Tensor) -> Tensor:
    return -z.abs() - math.log(2)


def _laplace_log_cdf(z: Tensor) -> Tensor:
    tail = (-z.abs()).exp() / 2
    return torch.where(z < 0, z - math.log(2), torch.log1p(-tail))
