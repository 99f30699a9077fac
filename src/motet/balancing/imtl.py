"""Impartial multi-task learning, whole: losses and gradients."""

from collections.abc import Mapping
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from motet.balancing.bounds import bounded
from motet.balancing.families import GramianBalancer, GramianOptions
from motet.balancing.imtl_g import equal_projections
from motet.balancing.log import refuse_negative
from motet.options import Sequence, Unpack, checked


@final
class IMTL(GramianBalancer):
    """Scale the losses until all are equally large, and balance the gradients of the scaled losses.

    Source: Liu et al. (ICLR 2021). Each task has a learned s_k, as in `IMTLL`; shared parameters
    move by `IMTLG` on the scaled losses::

        s_k minimises exp(s_k) L_k - s_k
        d·g_k / ‖g_k‖ equal for all k,  Σ v_k = 1:    d = Σ v_k exp(s_k) g_k

    Weights v_k exp(s_k) may be negative. Parameters of a task alone get the gradient of its scaled
    loss, so they feel the scales alone, and shared parameters only in the length of d.

    We differ as `IMTLL` and `IMTLG` do: s is held in [-10, 10], and directions that nearly
    cancel are guarded.

    The ``log_scale`` parameters (T,) belong in an optimizer group without weight decay;
    `motet.Trainer` sees to that.

    Args:
        tasks: Names of the tasks.
        scale: "sum": T equal gradients g of scaled losses give T g, as the plain sum does; "mean"
            and "paper": they give g.
        **common: Options of every Gramian balancer; see `GramianOptions`.

    Raises:
        InputError: If a loss is negative (when called): no scale makes it 1.
    """

    task_axes: ClassVar[Mapping[str, int]] = {**GramianBalancer.task_axes, "log_scale": 1}
    scales_losses = True
    refuses_weight = (
        "the learned scales undo it, and the projections come out equal whatever a gradient's "
        "length; use `conflict_free`, where a weight is a preference"
    )

    refuses_unit = "the projections are on unit gradients already"

    @checked
    def __init__(
        self,
        tasks: Sequence[str],
        **common: Unpack[GramianOptions],
    ) -> None:
        super().__init__(tasks, **common)
        self.log_scale = nn.Parameter(torch.zeros(len(self.tasks)))

    def forward(self, gramian: Tensor, losses: Tensor | None, present: Tensor) -> Tensor:
        scales = self.loss_scales(present).cpu().double()
        scaled = gramian * torch.outer(scales, scales)
        weights, self.status = equal_projections(scaled.numpy(), self.resolution)
        return torch.from_numpy(weights) * scales

    def in_sum_scale(self, weights: Tensor) -> Tensor:
        return weights * len(weights)

    def loss_scales(self, present: Tensor) -> Tensor:
        """Return exp(s) of the present tasks (T',)."""
        scales = bounded(self.log_scale).detach().exp()
        return scales[present.to(scales.device)]

    def objective(self, losses: Tensor, present: Tensor) -> Tensor:
        refuse_negative(losses, [self.tasks[index] for index in present])
        s = bounded(self.log_scale)[present.to(self.log_scale.device)]
        return (torch.exp(s) * losses.to(s.device) - s).sum()
