"""MMoE: experts for all tasks, mixed by a gate per task."""

from typing import final

from torch import nn

from motet.options import PositiveInt, Sequence, checked
from motet.sharing.base import SharedModule, Sharing
from motet.sharing.expert_levels import ExpertLevels
from motet.sharing.experts import carried, lay_out
from motet.sharing.stages import Stages


@final
class MMoE(Sharing):
    """Mix experts by a gate per task (Ma et al., KDD 2018).

    Task k sees Σᵢ softmax(Vₖ z)ᵢ fᵢ(z), where z is what the first stage gives. It need not be a
    vector: gates read its mean over positions.

    Args:
        experts: How many experts there are; each is a copy of the encoder's stages after the first.
        expert_width: Makes the experts one layer (linear, ReLU) of this width each, after all
            stages.
        top_k: How many experts count for a row, those with the largest weights; all if left out. On
            a CPU, experts of linear layers and activations are then computed on the rows alone for
            which they count for some task, where that is less than half of them; others on all.
    """

    @checked
    def __init__(
        self,
        *,
        experts: PositiveInt = 8,
        expert_width: PositiveInt | None = None,
        top_k: PositiveInt | None = None,
    ) -> None:
        self.experts, self.expert_width, self.top_k = experts, expert_width, top_k
        self.carries, self.keeps_encoder = carried(expert_width), expert_width is not None

    def build(self, stages: Sequence[nn.Module], tasks: Sequence[str], width: int) -> SharedModule:
        layout = lay_out(Stages.of(stages), width, 1, self.expert_width)
        return ExpertLevels(layout, tasks, self.experts, top_k=self.top_k)
