"""One positive number that a likelihood learns: a scale, or a dispersion."""

from typing import final

import torch
from torch import Tensor, nn

from motet.wide_state import WideState

_FASTER = 10.0


@final
class LearnedScale(WideState):
    """The logarithm of a positive number that is 1 at first and stays between two bounds.

    The parameter is a tenth of the logarithm: adaptive optimizers move every parameter by about the
    learning rate in a step, and this one has far to go compared with a weight.

    Args:
        low: Smallest logarithm.
        high: Largest logarithm.
    """

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high
        self.tenth = nn.Parameter(torch.zeros(()))

    def forward(self) -> Tensor:
        """Return the logarithm, ()."""
        return (_FASTER * self.tenth).clamp(self.low, self.high)
