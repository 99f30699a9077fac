"""PLE: levels of shared experts and experts of tasks."""

from typing import final

from torch import nn

from motet.options import NonNegativeInt, PositiveInt, Sequence, checked
from motet.sharing.base import SharedModule, Sharing
from motet.sharing.expert_levels import ExpertLevels
from motet.sharing.experts import carried, lay_out
from motet.sharing.stages import Stages


@final
class PLE(Sharing):
    """Separate the tasks' features level by level (Tang et al., RecSys 2020).

    On every level each task mixes its own experts with the shared ones, and a shared gate mixes all
    experts for the shared experts of the next level. The experts of disabled tasks below the last
    level are still used.

    Args:
        experts: How many experts all tasks share, on every level.
        task_experts: How many experts each task has of its own, on every level.
        levels: How many levels there are; the encoder's stages after the first are divided among
            them.
        expert_width: Makes the experts one layer (linear, ReLU) of this width each, on every level,
            after all stages.
    """

    @checked
    def __init__(
        self,
        *,
        experts: PositiveInt = 4,
        task_experts: NonNegativeInt = 2,
        levels: PositiveInt = 2,
        expert_width: PositiveInt | None = None,
    ) -> None:
        self.experts, self.task_experts = experts, task_experts
        self.levels, self.expert_width = levels, expert_width
        self.carries, self.keeps_encoder = carried(expert_width), expert_width is not None

    def build(self, stages: Sequence[nn.Module], tasks: Sequence[str], width: int) -> SharedModule:
        layout = lay_out(Stages.of(stages), width, self.levels, self.expert_width)
        return ExpertLevels(layout, tasks, self.experts, self.task_experts)
