"""No labels in the data: the task makes its own targets from the inputs."""

from typing import ClassVar, final

from torch import Tensor

from motet.states import MISSING
from motet.tasks.kinds.base import LabelKind


@final
class NoLabels(LabelKind):
    """Targets (B, ...) that an auxiliary task makes; NaN or -100 leaves an element out."""

    name: ClassVar[str] = "none"
    given: ClassVar[bool] = False
    flat: ClassVar[bool] = True

    def present(self, target: Tensor) -> Tensor:
        if target.is_floating_point():
            return ~target.isnan()
        return target != MISSING

    def row_scores(self, value: Tensor, target: Tensor) -> None:
        """Return None: what a task makes itself differs between its views."""

    def present_or_none(self, target: Tensor) -> Tensor | None:
        return self.present(target)
