"""Modules whose state stays in float32 or wider, however narrow the model around them becomes.

Running means, counters and learned weights of tasks move by amounts that half precision rounds
away, so a cast of the whole model, such as ``model.bfloat16()``, does not narrow them. They still
move between devices, and still become float64.
"""

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn

_NARROW = (torch.float16, torch.bfloat16)


def at_least_float32(values: Tensor) -> Tensor:
    """Return half precision as float32, as a sum over a batch would lose digits in it."""
    return values.float() if values.dtype in _NARROW else values


class WideState(nn.Module):
    """A module whose parameters and buffers, and those of its children, are never narrow."""

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a buffer, in float32 if it is narrower, as under a narrow default dtype."""
        super().register_buffer(
            name, tensor if tensor is None else at_least_float32(tensor), persistent
        )

    def register_parameter(self, name: str, param: nn.Parameter | None) -> None:
        """Add a parameter, in float32 if it is narrower, as under a narrow default dtype."""
        if param is not None and param.dtype in _NARROW:
            param = nn.Parameter(at_least_float32(param.detach()), param.requires_grad)
        super().register_parameter(name, param)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        def wide(tensor: Tensor) -> Tensor:
            found = fn(tensor)
            return tensor.to(found.device) if found.dtype in _NARROW else found

        super()._apply(wide, recurse)  # type: ignore[no-untyped-call]  # torch's
        return self
