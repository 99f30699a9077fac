"""Vectors for the places of a sequence, which encoders and decoders share."""

import math

import torch
from torch import Tensor


def sinusoidal_positions(length: int, width: int, start: int = 0) -> Tensor:
    """Return sines and cosines of falling frequencies, (L, D): 10,000^(-2i/D) for the pair i.

    Args:
        length: Number of places, L.
        width: Numbers per place, D.
        start: The first place.

    Returns:
        float32, on the CPU.

    Example:
        >>> sinusoidal_positions(2, 4)
        tensor([[0.0000, 1.0000, 0.0000, 1.0000],
                [0.8415, 0.5403, 0.0100, 0.9999]])
    """
    places = torch.arange(start, start + length, dtype=torch.float32)[:, None]
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    angles = places * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[:, :width]
