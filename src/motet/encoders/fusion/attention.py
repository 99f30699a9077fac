"""Fusion by attention over modalities."""

import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from motet.attention_heads import check_heads
from motet.encoders.fusion.base import Fusion
from motet.encoders.fusion.masking import Projections, fitting_width, shares
from motet.options import Fraction, PositiveInt, Widths, checked


@final
class Attention(Fusion):
    """Weigh modalities by attention: every head has a learned query that all of them answer.

    Features are projected to one width and normalised; keys and values are those of multi-head
    attention (Vaswani et al., NeurIPS 2017, 1706.03762). Differs from it in that queries are
    learned, one per head, in place of those of tokens. Missing modalities have weight zero, and the
    weights of the others sum to one. ``weights`` are means over the heads.

    Args:
        widths: The width of each encoder's features.
        width: Width of the joined features; that of the widest features if left out, rounded up to
            a multiple of ``heads``.
        heads: Number of heads; they divide the width.
        modality_dropout: Probability with which a modality counts as missing in a row of training;
            one at least stays.

    Raises:
        InputError: If ``heads`` does not divide ``width``.

    Example:
        >>> fusion = Attention([2, 3], width=8)
        >>> present = torch.tensor([[True, False]])
        >>> joined = fusion([torch.ones(1, 2), torch.zeros(1, 3)], present)
        >>> joined.shape, fusion.weights
        (torch.Size([1, 8]), tensor([[1., 0.]]))
    """

    @checked
    def __init__(
        self,
        widths: Widths,
        *,
        width: PositiveInt | None = None,
        heads: PositiveInt = 4,
        modality_dropout: Fraction = 0.0,
    ) -> None:
        super().__init__()
        self.width = width or fitting_width(widths, heads)
        check_heads(heads, self.width)
        self.modality_dropout, self.heads = modality_dropout, heads
        self.projections = Projections(widths, self.width)
        self.key = nn.Linear(self.width, self.width, bias=False)  # a bias would change no weight
        self.value = nn.Linear(self.width, self.width)
        self.output = nn.Linear(self.width, self.width)
        self.query = nn.Parameter(torch.empty(heads, self.width // heads))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the queries, small, so that modalities count alike at first."""
        nn.init.normal_(self.query, std=0.02)

    def forward(self, features: Sequence[Tensor], present: Tensor | None) -> Tensor:
        given = self.projections(features)
        keys, values = (  # (..., M, H, W / H)
            layer(given).unflatten(-1, (self.heads, -1)) for layer in (self.key, self.value)
        )
        scores = (keys * self.query).sum(-1) / math.sqrt(keys.shape[-1])  # (..., M, H)
        there = None if present is None else present[..., None, :]
        weights = shares(scores.transpose(-1, -2), there)  # (..., H, M)
        self.weights = weights.detach().mean(-2)
        joined = (weights.transpose(-1, -2)[..., None] * values).sum(-3)
        found: Tensor = self.output(joined.flatten(-2))
        return found
