"""What fusions do with missing modalities, and how features of all widths become comparable."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def shares(scores: Tensor, present: Tensor | None) -> Tensor:
    """Turn scores into weights that sum to one over the modalities that are present.

    Args:
        scores: One per modality, (..., M).
        present: Whether each modality is there, bool, broadcast to (..., M); None if all are.

    Returns:
        Weights, (..., M): exactly 0 for what is missing, also where everything is.

    Example:
        >>> shares(torch.zeros(3), torch.tensor([True, True, False]))
        tensor([0.5000, 0.5000, 0.0000])
    """
    if present is None:
        return scores.softmax(-1)
    none = ~present.any(-1, keepdim=True)
    found = scores.masked_fill(~(present | none), -torch.inf).softmax(-1)
    return found.masked_fill(~present, 0.0)


def zeros_without(joined: Tensor, present: Tensor | None) -> Tensor:
    """Put zeros where a row has no modality.

    Args:
        joined: Joined features, (..., D).
        present: Whether each modality is there, bool (..., M); None if all are.

    Returns:
        (..., D).
    """
    if present is None:
        return joined
    zero = torch.zeros((), dtype=joined.dtype, device=joined.device)
    return torch.where(present.any(-1, keepdim=True), joined, zero)


def fitting_width(widths: Sequence[int], multiple: int = 1) -> int:
    """Return the width of the widest features, rounded up to a multiple.

    >>> fitting_width([3, 10], 4)
    12
    """
    return -(-max(widths) // multiple) * multiple


class Projections(nn.Module):
    """Bring the features of each modality to one width and scale, by a linear layer and a norm.

    Args:
        widths: The width of each modality's features, Dᵢ.
        width: Width of the result, W.
    """

    def __init__(self, widths: Sequence[int], width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(each, width) for each in widths)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in widths)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Project features (..., Dᵢ) and stack them, (..., M, W)."""
        parts = zip(features, self.layers, self.norms, strict=True)
        return torch.stack([norm(layer(each)) for each, layer, norm in parts], dim=-2)
