"""Projection of the mean gradient on the dual cone."""

from typing import Literal, final

from torch import Tensor

from motet.balancing.families import GramianBalancer
from motet.balancing.solvers import project_on_dual_cone
from motet.options import Fraction, PositiveInt, Sequence, checked


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
        every: Steps for which weights are used before they are found anew.
        momentum: Share of the weights before in new ones; 0 takes the new ones alone.
    """

    scales_rows = False

    @checked
    def __init__(
        self,
        tasks: Sequence[str],
        *,
        scale: Literal["sum", "mean", "paper"] = "sum",
        every: PositiveInt = 1,
        momentum: Fraction = 0.0,
    ) -> None:
        super().__init__(tasks, scale=scale, every=every, momentum=momentum)

    def forward(self, gramian: Tensor, losses: Tensor | None, present: Tensor) -> Tensor:
        mean = self.preference(present).numpy()[None] / len(present)  # (1, T)
        return self.accept(project_on_dual_cone(gramian.numpy(), mean, self.resolution))[0]

    def in_sum_scale(self, weights: Tensor) -> Tensor:
        return weights * len(weights)
