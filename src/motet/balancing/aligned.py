"""Aligned multi-task learning."""

from typing import Literal, final

from torch import Tensor

from motet.balancing.families import GramianBalancer, GramianOptions
from motet.balancing.solvers import aligned
from motet.options import Sequence, Unpack, checked


@final
class AlignedMTL(GramianBalancer):
    """Make the principal directions of the gradients equally long, then add up.

    Source: Senushkin et al. (CVPR 2023, arXiv:2305.19000)::

        G = VΛVᵀ:    w = σ VΛ^(-½)Vᵀ p,  σ² = λ_min,  p = 1 / T

    The aligned gradients are orthogonal and of one length, so none dominates. A task may
    be in conflict.

    We differ in one point: the rank is that of the unit gradients, so that a short gradient is not
    mistaken for rounding. Their eigenvalues below 4 T times the rounding of G's numbers, relative
    to the largest, count as 0; the result for nearly opposed gradients depends on this threshold,
    and the status reports an eigenvalue just above it.

    A task weight multiplies its preference p.

    Args:
        tasks: Names of the tasks.
        scaling: Common length σ: the smallest singular value ("min"), the median, or the root of
            the mean square ("rmse"), of those that are not 0.
        scale: "sum": T equal gradients g give T g, as the plain sum does; "mean" and "paper": they
            give g.
        **common: Options of every Gramian balancer; see `GramianOptions`.
    """

    scales_rows = False

    @checked
    def __init__(
        self,
        tasks: Sequence[str],
        *,
        scaling: Literal["min", "median", "rmse"] = "min",
        **common: Unpack[GramianOptions],
    ) -> None:
        super().__init__(tasks, **common)
        self.scaling = scaling

    def forward(self, gramian: Tensor, losses: Tensor | None, present: Tensor) -> Tensor:
        p = self.preference(present).numpy() / len(present)
        return self.accept(aligned(gramian.numpy(), p, self.scaling, self.resolution))

    def in_sum_scale(self, weights: Tensor) -> Tensor:
        return weights * len(weights)
