"""Numbers that Python decides by are read from their device."""

from collections.abc import Sequence
from operator import attrgetter

import torch
from torch import Tensor

_IS_CPU = attrgetter("is_cpu")


def on_host(numbers: Sequence[Tensor]) -> list[float]:
    """Read scalar tensors, from a GPU in one transfer."""
    if all(map(_IS_CPU, numbers)):
        return list(map(Tensor.item, numbers))
    return torch.stack([number.detach().double() for number in numbers]).tolist()
