"""Conflict-averse gradient descent."""

from typing import final

from torch import Tensor

from motet.balancing.families import GramianBalancer, GramianOptions
from motet.balancing.solvers import conflict_averse
from motet.options import NonNegativeFloat, Sequence, Unpack, checked


@final
class CAGrad(GramianBalancer):
    """Help the worst-off task most, not far from the mean gradient g₀.

    Source: Liu et al. (NeurIPS 2021, arXiv:2110.14048)::

        max over d of min_k g_k·d    with ‖d - g₀‖ ≤ c‖g₀‖
        d = g₀ + c‖g₀‖ g_w / ‖g_w‖,  w minimises g_w·g₀ + c‖g₀‖‖g_w‖ on the simplex

    c = 0 is the mean gradient; as c grows, the direction becomes that of `MGDA`. For c < 1 a task
    may stay in conflict.

    We differ in two points: the authors' code divides d by 1 + c² (or 1 + c); our "sum" and "mean"
    scale divide by 1 + c, so that c does not change the length of a step on which all tasks agree.
    And where g_w = 0 leaves the formula undefined, as with a gradient of 0 in a ball that reaches
    past every conflict, d is the nearest to g₀ of the best directions: as in `DualProj`.

    Args:
        tasks: Names of the tasks.
        c: Radius of the search around the mean gradient, relative to its length.
        scale: "sum": T equal gradients g give T g, as the plain sum does; "mean": they give g;
            "paper": they give (1 + c) g.
        **common: Options of every Gramian balancer; see `GramianOptions`.
    """

    refuses_weight = (
        "the search evens out how much each task gains, and favours the others instead; "
        "use `upgrad` or `aligned`"
    )

    @checked
    def __init__(
        self,
        tasks: Sequence[str],
        *,
        c: NonNegativeFloat = 0.4,
        **common: Unpack[GramianOptions],
    ) -> None:
        super().__init__(tasks, **common)
        self.c = c

    def forward(self, gramian: Tensor, losses: Tensor | None, present: Tensor) -> Tensor:
        return self.accept(conflict_averse(gramian.numpy(), self.c, self.resolution))

    def in_sum_scale(self, weights: Tensor) -> Tensor:
        return weights * len(weights) / (1 + self.c)
