"""Fusion by gates."""

from collections.abc import Sequence
from typing import Literal, final

from torch import Tensor, nn

from motet.encoders.fusion.base import Fusion
from motet.encoders.fusion.masking import Projections, fitting_width, shares
from motet.options import Fraction, PositiveInt, Widths, checked


@final
class Gating(Fusion):
    """Sum the modalities, each times a gate that depends on all of them.

    After gated multimodal units (Arevalo et al., ICLR workshop 2017, arXiv:1702.01992). We differ
    in that a gate is one number per modality and row, which can be read as ``weights``, in place of
    one per feature; that it sees the mean of the modalities that are present beside its own, so
    that a missing one changes nothing but the mean; and that gates sum to one unless they are
    sigmoids.

    Args:
        widths: The width of each encoder's features.
        width: Width of the joined features; that of the widest features if left out.
        gates: Whether gates sum to one over the modalities that are present (softmax), or each is
            between 0 and 1 by itself (sigmoid).
        modality_dropout: Probability with which a modality counts as missing in a row of training;
            one at least stays.

    Example:
        >>> import torch
        >>> fusion = Gating([2, 3], width=8)
        >>> joined = fusion([torch.ones(1, 2), torch.zeros(1, 3)], None)
        >>> joined.shape, float(fusion.weights.sum().round(decimals=4))
        (torch.Size([1, 8]), 1.0)
    """

    @checked
    def __init__(
        self,
        widths: Widths,
        *,
        width: PositiveInt | None = None,
        gates: Literal["softmax", "sigmoid"] = "softmax",
        modality_dropout: Fraction = 0.0,
    ) -> None:
        super().__init__()
        self.width = width or fitting_width(widths)
        self.modality_dropout, self.gates = modality_dropout, gates
        self.projections = Projections(widths, self.width)
        self.own = nn.Linear(self.width, self.width)
        self.others = nn.Linear(self.width, self.width, bias=False)
        self.score = nn.Linear(self.width, 1)

    def forward(self, features: Sequence[Tensor], present: Tensor | None) -> Tensor:
        given = self.projections(features).tanh()  # (..., M, W)
        if present is None:
            mean = given.mean(-2, keepdim=True)
        else:
            given = given.masked_fill(~present[..., None], 0.0)
            count = present.sum(-1)[..., None, None].clamp(min=1)
            mean = given.sum(-2, keepdim=True) / count
        scores = self.score((self.own(given) + self.others(mean)).tanh())[..., 0]
        if self.gates == "softmax":
            gates = shares(scores, present)
        else:
            gates = scores.sigmoid()
            gates = gates if present is None else gates.masked_fill(~present, 0.0)
        self.weights = gates.detach()
        joined: Tensor = (gates[..., None] * given).sum(-2)
        return joined
