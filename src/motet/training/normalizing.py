"""Losses relative to their first value, so that their units do not determine their weights."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from motet.wide_state import WideState


class Normalizer(WideState):
    """Divides each task's loss by its first value.

    Args:
        tasks: Names of the tasks.
        active: Whether losses are divided; otherwise they stay as they are.
    """

    def __init__(self, tasks: Sequence[str], active: bool) -> None:
        super().__init__()
        self.tasks, self.active = tuple(tasks), active
        self.initial = nn.Buffer(torch.zeros(len(self.tasks)))
        """Magnitudes of the first losses, (T,); 0 where there was none, or it was 0."""

    def observe(self, losses: Mapping[str, Tensor]) -> None:
        """Remember losses that are the first of their tasks; no device sync."""
        if self.active:
            for task, loss in losses.items():
                first = self.initial[self.tasks.index(task)]
                seen = loss.detach().abs().to(first)
                first.copy_(torch.where((first == 0) & seen.isfinite(), seen, first))

    def scales(self) -> Tensor:
        """Return the factors of the tasks' losses, (T,)."""
        return torch.where(self.initial > 0, 1 / self.initial, 1.0)

    def normalized(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the losses that are balanced."""
        if not self.active:
            return dict(losses)
        scales = dict(zip(self.tasks, self.scales(), strict=True))
        return {task: loss * scales[task] for task, loss in losses.items()}

    def normalized_means(self, means: Mapping[str, float]) -> dict[str, float]:
        """Return the means of the balanced losses, from those of the losses as they are."""
        scales = dict(zip(self.tasks, self.scales().tolist(), strict=True))
        return {task: mean * scales[task] for task, mean in means.items()}
