"""CGC: shared experts and experts of each task, mixed by a gate per task."""

from typing import final

from torch import nn

from motet.options import NonNegativeInt, PositiveInt, Sequence, checked
from motet.sharing.base import SharedModule, Sharing
from motet.sharing.expert_levels import ExpertLevels
from motet.sharing.experts import carried, lay_out
from motet.sharing.stages import Stages


@final
class CGC(Sharing):
    """Mix a task's own experts with shared ones by a gate per task (Tang et al., RecSys 2020).

    The gate of a task weighs its own and the shared experts, and does not see those of others.

    Args:
        experts: How many experts all tasks share.
        task_experts: How many experts each task has of its own.
        expert_width: Makes the experts one layer (linear, ReLU) of this width each, after all
            stages. Left out, each is a copy of the encoder's stages after the first.
    """

    @checked
    def __init__(
        self,
        *,
        experts: PositiveInt = 4,
        task_experts: NonNegativeInt = 2,
        expert_width: PositiveInt | None = None,
    ) -> None:
        self.experts, self.task_experts, self.expert_width = experts, task_experts, expert_width
        self.carries, self.keeps_encoder = carried(expert_width), expert_width is not None

    def build(self, stages: Sequence[nn.Module], tasks: Sequence[str], width: int) -> SharedModule:
        layout = lay_out(Stages.of(stages), width, 1, self.expert_width)
        return ExpertLevels(layout, tasks, self.experts, self.task_experts)
