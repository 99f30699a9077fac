"""Projection of the mean gradient on the dual cone."""

from typing import final

from torch import Tensor

from motet.balancing.families import GramianBalancer, GramianOptions
from motet.balancing.solvers import project_on_dual_cone
from motet.options import Sequence, Unpack, checked


@final
class DualProj(GramianBalancer):
    """Move the mean gradient no more than it takes to harm no task.

    Source: GEM, Lopez-Paz & Ranzato (NeurIPS 2017, arXiv:1706.08840)::

        d = argmin ‖d - Σ_k π_k g_k / T‖    over d with g_k·d ≥ 0 for every k

    We differ in one point: GEM projects the newest task's gradient, we project the mean.

    A task weight π_k is a preference, and the same as scaling the task's gradient.

    Args:
        tasks: Names of the tasks.
        scale: "sum": T equal gradients g give T g, as the plain sum does; "mean" and "paper": they
            give g.
        **common: Options of every Gramian balancer; see `GramianOptions`.
    """

    scales_rows = False

    @checked
    def __init__(
        self,
        tasks: Sequence[str],
        **common: Unpack[GramianOptions],
    ) -> None:
        super().__init__(tasks, **common)

    def forward(self, gramian: Tensor, losses: Tensor | None, present: Tensor) -> Tensor:
        mean = self.preference(present).numpy()[None] / len(present)  # (1, T)
        return self.accept(project_on_dual_cone(gramian.numpy(), mean, self.resolution))[0]

    def in_sum_scale(self, weights: Tensor) -> Tensor:
        return weights * len(weights)
