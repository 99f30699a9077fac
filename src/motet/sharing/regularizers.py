"""Regularisers of the weights of several tasks, and their proximal steps.

W (T, P) holds the same weights of T tasks, one row per task. A proximal step of threshold t leaves
argmin over V of ½‖V - W‖² + t f(V), which is where exact zeros come from: gradient steps give none.
"""

import torch
from torch import Tensor


def pairwise_l2(weights: Tensor) -> Tensor:
    """Sum ‖Wᵢ - Wⱼ‖² over all pairs, as T Σ‖Wₖ - W̄‖².

    Returns:
        A scalar.

    Example:
        >>> pairwise_l2(torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 2.0]])).round(decimals=4)
        tensor(10.)
    """
    return len(weights) * (weights - weights.mean(dim=0)).square().sum()


def trace_norm(weights: Tensor) -> Tensor:
    """Sum the singular values (Yang & Hospedales 2016, arXiv:1606.04038, the last-axis form).

    Its gradient is the subgradient UVᵀ, finite also where singular values are zero or equal.

    Returns:
        A scalar.

    Example:
        >>> trace_norm(torch.tensor([[3.0, 4.0]] * 4)).round(decimals=4)
        tensor(10.)
    """
    values: Tensor = torch.linalg.svdvals(_precise(weights))
    return values.sum()


def shrink_singular_values(weights: Tensor, threshold: float) -> Tensor:
    """Take the proximal step of the trace norm: every singular value falls, at most to 0."""
    left, values, right = torch.linalg.svd(_precise(weights), full_matrices=False)
    shrunk: Tensor = left * (values - threshold).clamp(min=0) @ right
    return shrunk.to(weights.dtype)


def group_lasso(weights: Tensor) -> Tensor:
    """Sum the norms across tasks of each weight, so that tasks drop weights together.

    Returns:
        A scalar.

    Example:
        >>> group_lasso(torch.tensor([[3.0, 0.0], [4.0, 0.0]]))
        tensor(5.)
    """
    norms: Tensor = torch.linalg.vector_norm(weights, dim=0)
    return norms.sum()


def shrink_groups(weights: Tensor, threshold: float) -> Tensor:
    """Take the proximal step of the group lasso, (1 - t/‖r‖)₊ r for each weight across tasks.

    Returns:
        The weights after it.

    Example:
        >>> shrink_groups(torch.tensor([[3.0, 1.0], [4.0, 1.0]]), 2.5)
        tensor([[1.5000, 0.0000],
                [2.0000, 0.0000]])
    """
    norms: Tensor = torch.linalg.vector_norm(weights, dim=0)
    return (
        weights * (norms - threshold).clamp(min=0) / norms.clamp(min=torch.finfo(norms.dtype).tiny)
    )


def shrink(weights: Tensor, threshold: float) -> Tensor:
    """Take the proximal step of the sum of absolute values: each falls, at most to 0."""
    return weights.sign() * (weights.abs() - threshold).clamp(min=0)


def _precise(weights: Tensor) -> Tensor:
    """Return them in a type that has a singular value decomposition."""
    return weights.float() if weights.dtype in (torch.bfloat16, torch.float16) else weights
