"""The range of learned logarithms of scales."""

import torch
from torch import nn

LARGEST = 10.0
"""Scales stay between exp(-10) and exp(10), about 22,000."""


def bounded(log_scale: nn.Parameter) -> nn.Parameter:
    """Reset values that an optimizer's step moved out of [-10, 10] to the bound, in place.

    Clamping what is read from the parameter, and not the parameter itself, would let it move
    further with every step, and need as many steps back before anything changes.

    Returns:
        The parameter.
    """
    with torch.no_grad():
        log_scale.clamp_(-LARGEST, LARGEST)
    return log_scale
