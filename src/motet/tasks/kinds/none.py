"""No labels in the data: the task makes its own targets from the inputs."""

from typing import ClassVar, final

import torch
from torch import Tensor

from motet.tasks.kinds.base import LabelKind


@final
class NoLabels(LabelKind):
    """Targets (B, ...) that an auxiliary task makes; NaN leaves an element out."""

    name: ClassVar[str] = "none"
    given: ClassVar[bool] = False
    flat: ClassVar[bool] = True

    def present(self, target: Tensor) -> Tensor:
        if target.is_floating_point():
            return ~target.isnan()
        return torch.ones_like(target, dtype=torch.bool)

    def present_or_none(self, target: Tensor) -> Tensor | None:
        return self.present(target)
