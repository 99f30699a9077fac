"""Heads over maps: one raw output per place of an image."""

from typing import Any

from torch import Tensor, nn

from motet.problems import InputError
from motet.tasks.heads import CustomHead, TaskHead


class MapHead(nn.Module):
    """The same head for every place of a map, or a user's own head for the whole map.

    Args:
        head: A built-in head, applied along the channels; or one that maps (B, D, H, W) to
            (B, outputs, ...).
    """

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head.module if isinstance(head, CustomHead) else head
        self._outputs = head.outputs if isinstance(head, CustomHead) else None

    def forward(self, states: Tensor, **more: Any) -> Tensor:
        """Return raw outputs (B, outputs, H, W).

        Raises:
            InputError: If a user's own head returns another number of channels.
        """
        if isinstance(self.head, TaskHead):
            raw: Tensor = self.head(states.movedim(1, -1), **more)
            return raw.movedim(-1, 1)
        raw = self.head(states, **more)
        if self._outputs is not None and (raw.dim() < 2 or raw.shape[1] != self._outputs):
            raise InputError(
                f"the head {type(self.head).__name__} gave the shape {tuple(raw.shape)}, expected "
                f"(B, {self._outputs}, ...); end it with nn.Conv2d(..., {self._outputs}, 1)"
            )
        return raw
