"""Fusion by concatenation."""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from motet.encoders.fusion.base import Fusion


@final
class Concat(Fusion):
    """Concatenate the features of all encoders; each keeps its own.

    Args:
        widths: The width of each encoder's features.

    Example:
        >>> fusion = Concat([2, 3])
        >>> fusion([torch.zeros(4, 2), torch.zeros(4, 3)]).shape, fusion.width
        (torch.Size([4, 5]), 5)
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.width = sum(widths)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(features), dim=-1) if len(features) > 1 else features[0]
