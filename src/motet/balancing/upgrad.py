"""Unconflicting projection of gradients."""

from typing import final

import numpy as np
from torch import Tensor

from motet.balancing.families import GramianBalancer, GramianOptions
from motet.balancing.solvers import project_on_dual_cone
from motet.options import Sequence, Unpack, checked


@final
class UPGrad(GramianBalancer):
    """Project each gradient on the directions that harm no task, then average.

    Source: Quinton & Rey (2024, arXiv:2406.16232)::

        d = Σ_k π_k / T · argmin ‖d_k - g_k‖    over d_k with g_j·d_k ≥ 0 for every j

    No task is ever in conflict with d. With two tasks, this is half of `PCGrad`.

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
        each = np.diag(self.preference(present).numpy() / len(present))  # (T, T): one task a row
        return self.accept(project_on_dual_cone(gramian.numpy(), each, self.resolution)).sum(dim=0)

    def in_sum_scale(self, weights: Tensor) -> Tensor:
        return weights * len(weights)
