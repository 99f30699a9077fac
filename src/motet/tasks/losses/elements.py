"""The built-in losses: pure formulas, one number per labelled element.

Missing labels never come here (`motet.tasks.additive`). In the formulas x is the raw output, y the
target, r = y - x, and p the softmax of x. With ``reduction="sum"`` they give the sum over all
elements, which saves a step over adding up one number per element.
"""

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from motet.options import Fraction, NonNegativeFloat, PositiveFloat, Sequence
from motet.tasks.labels import is_soft

Reduction = Literal["none", "sum"]


def cross_entropy(
    raw: Tensor,
    target: Tensor,
    *,
    class_weights: Tensor | None = None,
    label_smoothing: Fraction = 0.0,
    reduction: Reduction = "none",
) -> Tensor:
    """(1 - e) w_y (-log p_y) + (e / C) sum_c w_c (-log p_c), for label smoothing e.

    Args:
        raw: Logits, shape (B, C).
        target: Class indices (B,), or class shares (B, C), over which the formula is averaged.
        class_weights: One weight w per class, shape (C,).
        label_smoothing: Share e of every label that is spread over all classes.
        reduction: "sum" adds the rows up.

    Returns:
        One loss per row, shape (B,), or their sum.
    """
    return functional.cross_entropy(
        raw,
        target.to(raw.dtype) if is_soft(target) else target,
        weight=None if class_weights is None else class_weights.to(raw.dtype),
        label_smoothing=label_smoothing,
        reduction=reduction,
    )


def focal(
    raw: Tensor,
    target: Tensor,
    *,
    class_weights: Tensor | None = None,
    gamma: NonNegativeFloat = 2.0,
    reduction: Reduction = "none",
) -> Tensor:
    """w_y (1 - p_y)^gamma (-log p_y): rows that are already right count less.

    Lin et al., ICCV 2017, arXiv:1708.02002, for any number of classes, and computed from log p, so
    that it is exact for confident rows. ``gamma`` 0 is cross-entropy.

    Args:
        raw: Logits, shape (B, C).
        target: Class indices (B,), or class shares (B, C), over which the formula is averaged.
        class_weights: One weight w per class, shape (C,); the paper's alpha.
        gamma: How strongly the weight of rows that are already right is reduced.
        reduction: "sum" adds the rows up.

    Returns:
        One loss per row, shape (B,), or their sum.
    """
    log_p = raw.log_softmax(dim=-1)
    if class_weights is not None:
        class_weights = class_weights.to(raw.dtype)
    if is_soft(target):
        shares = target if class_weights is None else target * class_weights
        return reduced((shares.to(raw.dtype) * _focal(log_p, gamma)).sum(dim=-1), reduction)
    losses = _focal(log_p.gather(-1, target.unsqueeze(-1)).squeeze(-1), gamma)
    losses = losses if class_weights is None else class_weights[target] * losses
    return reduced(losses, reduction)


def _focal(log_p: Tensor, gamma: float) -> Tensor:
    wrong = (-log_p.expm1()).clamp(min=torch.finfo(log_p.dtype).tiny)  # 0^(gamma - 1) has no slope
    return -(wrong**gamma) * log_p


def reduced(losses: Tensor, reduction: Reduction) -> Tensor:
    """Return losses per element as they are, or added up."""
    return losses.sum() if reduction == "sum" else losses


def binary_cross_entropy(
    raw: Tensor,
    target: Tensor,
    *,
    pos_weight: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    """-w y log p - (1 - y) log(1 - p), for p = sigmoid(x); softplus(x) - x y if w = 1.

    Args:
        raw: Logits, shape (B, C).
        target: 0 or 1, shape (B, C).
        pos_weight: Weight w of the ones of each label, shape (C,).
        reduction: "sum" adds the cells up.

    Returns:
        One loss per cell, shape (B, C), or their sum.
    """
    return functional.binary_cross_entropy_with_logits(
        raw,
        target.to(raw.dtype),
        pos_weight=None if pos_weight is None else pos_weight.to(raw.dtype),
        reduction=reduction,
    )


def mse(raw: Tensor, target: Tensor, *, reduction: Reduction = "none") -> Tensor:
    """Return r^2, per element or added up."""
    return functional.mse_loss(raw, target, reduction=reduction)


def mae(raw: Tensor, target: Tensor, *, reduction: Reduction = "none") -> Tensor:
    """Return |r|, per element or added up."""
    return functional.l1_loss(raw, target, reduction=reduction)


def huber(
    raw: Tensor,
    target: Tensor,
    *,
    delta: PositiveFloat = 1.0,
    reduction: Reduction = "none",
) -> Tensor:
    """r^2 / 2 up to |r| = delta, then the straight line delta (|r| - delta / 2), per element.

    Huber, Annals of Mathematical Statistics 35 (1964).

    Args:
        raw: Predictions, any shape.
        target: Labels, same shape.
        delta: Where the line begins, in the unit of the target (standardised, if that was asked).
        reduction: "sum" adds the elements up.

    Returns:
        One loss per element, same shape, or their sum.
    """
    return functional.huber_loss(raw, target, reduction=reduction, delta=delta)


def log_cosh(raw: Tensor, target: Tensor, *, reduction: Reduction = "none") -> Tensor:
    """Return log cosh r = |r| + softplus(-2 |r|) - log 2; cosh would overflow at 90.

    Example:
        >>> log_cosh(torch.tensor([0.0, 1.0, 3.0]), torch.zeros(3))
        tensor([0.0000, 0.4338, 2.3093])
    """
    distance = (raw - target).abs()
    return reduced(distance + functional.softplus(-2 * distance) - math.log(2), reduction)


def pinball(
    raw: Tensor, target: Tensor, *, quantiles: Sequence[float], reduction: Reduction = "none"
) -> Tensor:
    """max(q r, (q - 1) r) of r = y - x, averaged over the quantiles q of a row.

    Koenker and Bassett, Econometrica 46 (1978).

    Args:
        raw: Quantiles, shape (B, K).
        target: Labels, shape (B,).
        quantiles: Their K levels.
        reduction: "sum" adds the rows up.

    Returns:
        One loss per row, shape (B,), or their sum.

    Example:
        >>> pinball(torch.zeros(2, 1), torch.tensor([1.0, -1.0]), quantiles=[0.9])
        tensor([0.9000, 0.1000])
    """
    apart, levels = target.unsqueeze(1) - raw, raw.new_tensor(quantiles)
    return reduced(torch.maximum(levels * apart, (levels - 1) * apart).mean(dim=1), reduction)
