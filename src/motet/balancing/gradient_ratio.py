"""The gradient-ratio penalty."""

from typing import Literal, final

import torch
from torch import Tensor

from motet.balancing.families import LONG_WAIT, LossBalancer
from motet.balancing.families.uncompiled import keep_buffers
from motet.options import NonNegativeFloat, Sequence, checked
from motet.problems import InputError

_FLOOR = 1e-6  # of the largest norm: a smaller one counts as this, and is not differentiated


@final
class GradientRatio(LossBalancer):
    """Add a differentiable penalty on unequal gradients to the sum of the losses.

    With n_k the norm of the gradient of L_k on the last shared layer::

        general    Σ L_k + α Σ |n_k / mean_j n_j - 1|
        pair       L_1 + L_2 + α |n_1 / n_2 - 1|          for two tasks, in their order

    A method of this project. Norms are of losses without their task weights, which only scale the
    losses. The penalty does not change if all losses are scaled together. Its gradient reaches all
    parameters that the norms depend on, heads too; it needs second derivatives, a pass per task and
    one through the graph of those, and `motet.backward`. The graph shows which shared layer is
    the last: the weights with no other shared weight between them and the losses.

    Args:
        tasks: Names of the tasks.
        alpha: α, how much the penalty counts.
        form: "general" or "pair".
        layer: Where norms are computed: on the last shared layer, or all shared parameters. With
            "all" and your own ``shared``, `motet.backward` computes them on that alone.

    Raises:
        InputError: If ``form`` is "pair" and there are not two tasks.
    """

    @checked
    def __init__(
        self,
        tasks: Sequence[str],
        *,
        alpha: NonNegativeFloat = 0.12,
        form: Literal["general", "pair"] = "general",
        layer: Literal["last", "all"] = "last",
    ) -> None:
        super().__init__(tasks)
        keep_buffers()
        if form == "pair" and len(self.tasks) != 2:
            raise InputError(
                f"found 'pair', which is for 2 tasks, but there are {len(self.tasks)}; use "
                "form: general",
                option="form",
            )
        self.alpha, self.form, self.layer = alpha, form, layer
        self.expect(
            "penalty(norms, present)",
            within=LONG_WAIT,
            otherwise="it only minimises the sum of the losses. motet.backward makes this call, "
            "where losses reach a common parameter",
        )

    def forward(self, losses: Tensor, present: Tensor) -> Tensor:
        return losses.sum()

    def penalty(self, norms: Tensor, present: Tensor) -> Tensor:
        """Return α times the penalty; 0 where one task is alone.

        Args:
            norms: Norms of the gradients (T',), or a multiple of all.
            present: Which tasks they are of (T',).

        Returns:
            A scalar.
        """
        self.heard("penalty")
        largest = norms.detach().max()
        if len(present) < 2 or not largest > 0:  # a device sync
            return norms.new_zeros(())
        norms = torch.maximum(norms, _FLOOR * largest)
        if self.form == "pair":
            first, second = norms[torch.argsort(present)].unbind()
            return self.alpha * (first / second - 1).abs()
        return self.alpha * (norms / norms.mean() - 1).abs().sum()
