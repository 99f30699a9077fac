"""Nash bargaining between tasks."""

from collections.abc import Mapping
from typing import ClassVar, final

from torch import Tensor

from motet.balancing.families import GramianBalancer, GramianOptions
from motet.balancing.solvers import fair_weights
from motet.options import PositiveFloat, Sequence, Unpack, checked
from motet.problems import InputError


@final
class Nash(GramianBalancer):
    """Agree on a direction by Nash bargaining (Navon et al., ICML 2022, arXiv:2202.01017).

    ::

        w_k (Gw)_k = 1, w > 0:    maximises Σ log g_k·d among directions of one length

    The direction does not change if a loss is scaled, and has length √T, before it is clipped to
    ``max_norm``; the clip is part of the recipe.

    We differ in two points: the equation is solved by Newton's method to rounding, where the paper
    takes 20 rounds of convex programs. And it has no solution if 0 is in the convex hull of the
    gradients, for instance if one is 0: then the status reports it, and the weights are those of
    the minimum-norm combination, whose direction is 0; a task with gradient 0 is left out.

    Args:
        tasks: Names of the tasks.
        max_norm: Longest direction, None for no clip; only with the paper's scale, as the others
            fix the sum of the weights instead.
        scale: "paper": the length is √T, clipped; "sum": the weights sum to T; "mean": to 1.
        **common: Options of every Gramian balancer; see `GramianOptions`.

    Raises:
        InputError: If ``max_norm`` is given with another scale.
    """

    refuses_weight = (
        "the direction does not change if a gradient is scaled; use `upgrad`, or `fairgrad` with "
        "alpha < 1"
    )

    refuses_unit = "the direction does not depend on the lengths of gradients"

    option_defaults: ClassVar[Mapping[str, str]] = {"scale": "paper"}

    @checked
    def __init__(
        self,
        tasks: Sequence[str],
        *,
        max_norm: PositiveFloat | None = 1.0,
        **common: Unpack[GramianOptions],
    ) -> None:
        super().__init__(tasks, **common)
        self.max_norm = clip_of(max_norm, self.scale)

    def forward(self, gramian: Tensor, losses: Tensor | None, present: Tensor) -> Tensor:
        return self.accept(fair_weights(gramian.numpy(), tolerance=self.resolution))

    def in_sum_scale(self, weights: Tensor) -> Tensor:
        return weights * len(weights) / weights.sum()


def clip_of(max_norm: float | None, scale: str) -> float | None:
    """Return the longest direction, None for no clip.

    Raises:
        InputError: If one that is not the default is given for a scale that does not read it.
    """
    if scale == "paper":
        return max_norm
    if max_norm not in (None, 1.0):
        raise InputError(
            f"applies only with scale: paper, found scale: {scale}, which fixes the sum of the "
            "weights; remove max_norm, or set scale: paper",
            option="max_norm",
        )
    return None
