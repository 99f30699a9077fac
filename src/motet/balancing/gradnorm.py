"""Gradient normalisation."""

from collections.abc import Mapping
from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn

from motet.balancing.adam import adam_step
from motet.balancing.families import LONG_WAIT, LossBalancer, by_task
from motet.balancing.families.uncompiled import keep_buffers
from motet.options import NonNegativeFloat, PositiveFloat, Sequence, checked

_SMALLEST = 1e-4


@final
class GradNorm(LossBalancer):
    """Let all tasks learn at a similar rate (Chen et al., ICML 2018, arXiv:1711.02257).

    With n_k the norm of the gradient of L_k on the last shared layer, weights take a step of Adam
    down::

        Σ |w_k n_k - target_k|,    target_k = mean_j(w_j n_j) r_k^α,

    where r_k is L_k / L_k(0) over its mean, the inverse rate of training, and targets count as
    constants. So no second derivative is needed: the slope is n_k, up or down. Weights stay above
    0.0001 and are rescaled to their sum, T in all, after the step.

    `motet.backward` computes the norms, a short pass per task. The graph shows which shared layer
    is the last: the weights with no other shared weight between them and the losses, several where
    there are branches.

    Beyond the paper: weights of absent tasks stay; the others keep their sum.

    Args:
        tasks: Names of the tasks.
        alpha: α; the larger, the more slow tasks are favoured. The paper uses 1.5 for images
            and 0.12 for its toy.
        layer: Where norms are computed: on the last shared layer, or all shared parameters. With
            "all" and your own ``shared``, `motet.backward` computes them on that alone.
        learning_rate: Learning rate of the weights.
        initial_losses: L(0) by task, where the first loss seen would mislead, such as log(number of
            classes) for a cross-entropy.

    Raises:
        InputError: If ``initial_losses`` names no task.
    """

    task_axes: ClassVar[Mapping[str, int]] = {"learned": 1, "moments": 1, "initial": 1}
    refuses_weight = (
        "it would be undone: weights settle where w_k times the norm of the gradient fits the "
        "training rates; use `equal` or `manual`"
    )

    @checked
    def __init__(
        self,
        tasks: Sequence[str],
        *,
        alpha: NonNegativeFloat = 1.5,
        layer: Literal["last", "all"] = "last",
        learning_rate: PositiveFloat = 0.025,
        initial_losses: Mapping[str, PositiveFloat] | None = None,
    ) -> None:
        super().__init__(tasks)
        keep_buffers()
        self.alpha, self.layer, self.learning_rate = alpha, layer, learning_rate
        self.learned = nn.Buffer(torch.ones(len(tasks)))
        """Weights, (T,)."""
        self.moments = nn.Buffer(torch.zeros(len(tasks), 3))
        """Memory of Adam, (T, 3)."""
        self.initial = nn.Buffer(torch.zeros(len(tasks)))
        """L(0), (T,); 0 where none was seen."""
        for index, loss in by_task(initial_losses or {}, tasks, "initial_losses", complete=False):
            self.initial[index] = loss
        self.expect(
            "observe_norms(norms, losses, present)",
            within=LONG_WAIT,
            otherwise="its weights are still 1. motet.backward makes this call, where losses "
            "reach a common parameter",
        )

    def forward(self, losses: Tensor, present: Tensor) -> Tensor:
        return (self.learned[present].to(losses) * losses).sum()

    def observe_norms(self, norms: Tensor, losses: Tensor, present: Tensor) -> None:
        """Learn from the norms of the gradients of this step's unweighted losses.

        Args:
            norms: Norms (T',).
            losses: Losses (T',).
            present: Which tasks they are of (T',).
        """
        self.heard("observe_norms")
        losses, norms = losses.to(self.initial), norms.to(self.initial)
        first = self.initial[present]
        first = torch.where((first == 0) & (losses > 0), losses, first)
        self.initial[present] = first
        if len(present) < 2:
            return
        left = torch.where(first > 0, losses / torch.where(first > 0, first, 1.0), 1.0).clamp(min=0)
        rate = left / left.mean().clamp(min=torch.finfo(left.dtype).tiny)
        weights = self.learned[present]
        slope = torch.sign(weights * norms - (weights * norms).mean() * rate**self.alpha) * norms
        adam_step(self.learned, slope, self.moments, present, rate=self.learning_rate)
        moved = self.learned[present].clamp(min=_SMALLEST)
        self.learned[present] = moved * (weights.sum() / moved.sum())
