"""Losses of counts: negative log-likelihoods with a log link, without terms that have no gradient.

Both leave out log y!, so they may be negative. x is the raw output, y the count, m = exp(x).
"""

import torch
from torch import Tensor
from torch.nn import functional

from motet.tasks.losses.elements import Reduction, reduced


def poisson(raw: Tensor, target: Tensor, *, reduction: Reduction = "none") -> Tensor:
    """Return m - y x, per element or added up.

    Example:
        >>> poisson(torch.zeros(1), torch.tensor([2.0]))
        tensor([1.])
    """
    return functional.poisson_nll_loss(raw, target, log_input=True, reduction=reduction)


def negative_binomial(
    raw: Tensor, target: Tensor, *, log_size: Tensor, reduction: Reduction = "none"
) -> Tensor:
    """Return the likelihood of counts whose variance is m + m^2 / r; for large r that of Poisson.

    log Gamma(r) - log Gamma(y + r) - r log r + (y + r) log(m + r) - y x, in float64, as the first
    two terms cancel. The parametrisation is NB2 of Cameron and Trivedi (1986).

    Args:
        raw: x, any shape.
        target: Counts, same shape.
        log_size: log r, shape ().
        reduction: "sum" adds the elements up.

    Returns:
        One loss per element, same shape and type as ``raw``, or their sum.
    """
    x, y, log_r = raw.double(), target.double(), log_size.double()
    r = log_r.exp()
    apart = torch.lgamma(r) - torch.lgamma(y + r) - r * log_r
    losses = apart + (y + r) * torch.logaddexp(x, log_r) - y * x
    return reduced(losses, reduction).to(raw.dtype)
