"""Fusion by concatenation."""

from collections.abc import Sequence
from typing import Literal, final

import torch
from torch import Tensor, nn

from motet.encoders.fusion.base import Fusion
from motet.options import Fraction, PositiveInt, Widths, checked


@final
class Concat(Fusion):
    """Concatenate the features of all encoders; each keeps its own.

    Their order is that of the modalities: the table, texts, and other inputs as a config has them.
    A text without words is not missing unless ``missing`` is learned: its encoder learns features
    for it.

    Args:
        widths: The width of each encoder's features.
        width: Width of a linear layer after them; none if left out.
        missing: What stands for a missing modality: zeros, or a vector that is learned for each
            modality, which starts as zeros.
        modality_dropout: Probability with which a modality counts as missing in a row of training;
            one at least stays.

    Example:
        >>> fusion = Concat([2, 3])
        >>> fusion([torch.zeros(4, 2), torch.zeros(4, 3)], None).shape, fusion.width
        (torch.Size([4, 5]), 5)
    """

    @checked
    def __init__(
        self,
        widths: Widths,
        *,
        width: PositiveInt | None = None,
        missing: Literal["zeros", "learned"] = "zeros",
        modality_dropout: Fraction = 0.0,
    ) -> None:
        super().__init__()
        self.modality_dropout = modality_dropout
        self.masks_texts = missing == "learned"
        self.projection = None if width is None else nn.Linear(sum(widths), width)
        self.width = width or sum(widths)
        self.absent = nn.Parameter(torch.empty(sum(widths))) if missing == "learned" else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Let a missing modality be zeros at first."""
        if self.absent is not None:
            nn.init.zeros_(self.absent)

    def forward(self, features: Sequence[Tensor], present: Tensor | None) -> Tensor:
        given = list(features)
        if self.absent is not None and present is not None:
            instead = torch.split(self.absent.to(given[0]), [each.shape[-1] for each in given])
            there = present[..., None].unbind(-2)
            given = [torch.where(*each) for each in zip(there, given, instead, strict=True)]
        joined = torch.cat(given, dim=-1) if len(given) > 1 else given[0]
        return joined if self.projection is None else self.projection(joined)
