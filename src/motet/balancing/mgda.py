"""The multiple-gradient descent algorithm."""

from typing import Literal, final

import torch
from torch import Tensor

from motet.balancing.families import GramianBalancer, GramianOptions
from motet.balancing.solvers import min_norm_point
from motet.options import Sequence, Unpack, checked
from motet.problems import InputError


@final
class MGDA(GramianBalancer):
    """Step along the shortest convex combination of the gradients.

    Source: Désidéri (C. R. Math. 2012); Sener & Koltun (NeurIPS 2018, arXiv:1810.04650)::

        min ‖Σ w_k g_k‖²    over w ≥ 0, Σ w_k = 1

    All tasks improve at the same rate, g_k·d = ‖d‖², or faster. So the direction follows the
    smallest gradients, and is 0 once a task's gradient is. ``normalize`` makes up for lengths or
    losses of uneven size.

    We differ in two points: the point is found exactly by active set, where Frank-Wolfe steps come
    close slowly; and normalised gradients only find w, which then weighs the gradients themselves.

    Args:
        tasks: Names of the tasks.
        normalize: Divide gradients by their length ("l2"), by their loss's magnitude ("loss") or by
            both ("loss_l2"), to find the weights.
        scale: "sum": T equal gradients g give T g, as the plain sum does; "mean" and "paper": they
            give g.
        **common: Options of every Gramian balancer; see `GramianOptions`.
    """

    refuses_weight = (
        "the larger gradient gets the smaller weight, so it would count less, not more; "
        "use `upgrad` or `aligned`"
    )

    @checked
    def __init__(
        self,
        tasks: Sequence[str],
        *,
        normalize: Literal["none", "l2", "loss", "loss_l2"] = "none",
        **common: Unpack[GramianOptions],
    ) -> None:
        super().__init__(tasks, **common)
        self.normalize = normalize
        if self.unit and "l2" in normalize:
            self._check_unit(
                f"normalize: {normalize} divides by lengths, which would be 1; remove one of them"
            )

    def forward(self, gramian: Tensor, losses: Tensor | None, present: Tensor) -> Tensor:
        size = torch.ones(len(present), dtype=torch.float64)
        if "l2" in self.normalize:
            size *= gramian.diagonal().clamp(min=0).sqrt()
        if "loss" in self.normalize:
            size *= self._magnitudes(losses)
        inverse = torch.where(size > 0, 1 / size, 1.0)
        return self.accept(
            min_norm_point((gramian * torch.outer(inverse, inverse)).numpy(), self.resolution)
        )

    def in_sum_scale(self, weights: Tensor) -> Tensor:
        return weights * len(weights)

    def _magnitudes(self, losses: Tensor | None) -> Tensor:
        if losses is None:
            raise InputError(
                f"mgda with normalize: {self.normalize} reads the losses; pass them too"
            )
        return losses.detach().cpu().double().abs()
