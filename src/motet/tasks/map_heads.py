"""Heads over maps: raw outputs for every place of an image, at the size of its labels.

A map is most often coarser than the labels. Raw outputs are then interpolated bilinearly, not the
features: that is the same for a linear head, and cheaper. The interpolation is two products with
matrices, one for each direction, so that its gradient adds up in one order on every device.
"""

from typing import Any

import torch
from torch import Tensor, nn

from motet.problems import InputError
from motet.tasks.heads import CustomHead, TaskHead


class MapHead(nn.Module):
    """The same head for every place of a map, or a user's own head for the whole map.

    Args:
        head: A built-in head, applied along the channels; or one that maps (B, D, H, W) to
            (B, outputs, ...).
        size: Height and width that raw outputs are interpolated to; as the head gives them if left
            out.
    """

    def __init__(self, head: nn.Module, size: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.head = head.module if isinstance(head, CustomHead) else head
        self._outputs = head.outputs if isinstance(head, CustomHead) else None
        self._size = size

    def forward(self, states: Tensor, **more: Any) -> Tensor:
        """Return raw outputs (B, outputs, H, W).

        Raises:
            InputError: If a user's own head returns another number of channels.
        """
        if isinstance(self.head, TaskHead):
            raw: Tensor = self.head(states.movedim(1, -1), **more)
            raw = raw.movedim(-1, 1)
        else:
            raw = self.head(states, **more)
            if self._outputs is not None and (raw.dim() < 2 or raw.shape[1] != self._outputs):
                raise InputError(
                    f"the head {type(self.head).__name__} gave the shape {tuple(raw.shape)}, "
                    f"expected (B, {self._outputs}, ...); end it with "
                    f"nn.Conv2d(..., {self._outputs}, 1)"
                )
        return resized(raw, self._size) if self._size is not None and raw.dim() == 4 else raw


def resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Interpolate maps bilinearly, as torch's ``interpolate`` does with ``align_corners=False``.

    Args:
        maps: (B, D, h, w).
        size: Height H and width W.

    Returns:
        Maps (B, D, H, W); those that have the size already, as they are.

    Example:
        >>> resized(torch.tensor([[[[0.0, 4.0]]]]), (1, 4))
        tensor([[[[0., 1., 3., 4.]]]])
    """
    height, width = maps.shape[-2:]
    if height != size[0]:
        maps = _between(height, size[0], maps) @ maps
    if width != size[1]:
        maps = maps @ _between(width, size[1], maps).T
    return maps


def _between(before: int, after: int, like: Tensor) -> Tensor:
    """Return the matrix (after, before) of linear interpolation; edges are repeated beyond."""
    wide = like.dtype if like.dtype == torch.float64 else torch.float32
    places = torch.arange(after, dtype=wide, device=like.device)
    places = ((places + 0.5) * (before / after) - 0.5).clamp(0, before - 1)
    apart = places.unsqueeze(1) - torch.arange(before, dtype=wide, device=like.device)
    return (1 - apart.abs()).clamp(min=0).to(like.dtype)
