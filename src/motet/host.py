"""Numbers that Python decides by are read from their device."""

from collections.abc import Sequence

import torch
from torch import Tensor


def on_host(numbers: Sequence[Tensor]) -> list[float]:
    """Read scalar tensors, from a GPU in one transfer."""
    if {number.is_cpu for number in numbers} <= {True}:
        return [number.item() for number in numbers]
    return torch.stack([number.detach().double() for number in numbers]).tolist()
