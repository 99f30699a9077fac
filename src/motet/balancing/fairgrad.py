"""Fairness between tasks, as in resource allocation."""

from collections.abc import Mapping
from typing import ClassVar, final

from torch import Tensor

from motet.balancing.families import GramianBalancer, GramianOptions
from motet.balancing.nash import clip_of
from motet.balancing.solvers import fair_weights
from motet.options import PositiveFloat, Sequence, Unpack, checked


@final
class FairGrad(GramianBalancer):
    """Share progress α-fairly between tasks (Ban & Ji, ICML 2024, arXiv:2402.15638).

    ::

        (Gw)_k = w_k^(-1/α), w > 0

    α → 0 is the plain sum, 1 is `Nash`, and as α grows, the direction becomes that of `MGDA`. The
    direction is of degree (1 - α) / (1 + α) in the gradients, and clipped to ``max_norm``.

    We differ as in `Nash`: solved to rounding, and where there is no solution, because 0 is in the
    convex hull of the gradients, the status reports what was done instead.

    A task weight scales the gradient if α < 1, with less and less effect, and is refused for α ≥ 1.

    Args:
        tasks: Names of the tasks.
        alpha: Fairness α. The paper uses 1 and 2; 1 is `nash`.
        max_norm: Longest direction, None for no clip; only with the paper's scale, as the others
            fix the sum of the weights instead.
        scale: "paper": the formula above, clipped; "sum": the weights sum to T; "mean": to 1.
        **common: Options of every Gramian balancer; see `GramianOptions`.

    Raises:
        InputError: If ``max_norm`` is given with another scale.
    """

    option_defaults: ClassVar[Mapping[str, str]] = {"scale": "paper"}

    @checked
    def __init__(
        self,
        tasks: Sequence[str],
        *,
        alpha: PositiveFloat = 2.0,
        max_norm: PositiveFloat | None = 1.0,
        **common: Unpack[GramianOptions],
    ) -> None:
        super().__init__(tasks, **common)
        self.alpha, self.max_norm = alpha, clip_of(max_norm, self.scale)
        if alpha >= 1:
            self.refuses_weight = (  # type: ignore[misc]  # alpha decides, not the class
                "from alpha = 1 on, a larger gradient counts no more, or less; set alpha < 1"
            )

        if alpha == 1 and self.unit:
            self._check_unit("with alpha = 1 the direction does not depend on lengths")

    def forward(self, gramian: Tensor, losses: Tensor | None, present: Tensor) -> Tensor:
        return self.accept(fair_weights(gramian.numpy(), self.alpha, self.resolution))

    def in_sum_scale(self, weights: Tensor) -> Tensor:
        return weights * len(weights) / weights.sum()
