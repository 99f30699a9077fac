"""Weighting by excess risk."""

from collections.abc import Mapping
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from motet.balancing.families import GradientOptions, JacobianBalancer
from motet.options import PositiveFloat, Sequence, Unpack, checked

_EPSILON = 1e-7  # of the authors' code, under the root
_CHUNK = 1 << 18
"""Columns read at once, so that little is held beside the state."""


@final
class ExcessMTL(JacobianBalancer):
    """Weigh up the tasks that are still far from their optimum (He et al., ICML 2024).

    How far is estimated from the gradients g_k and the sum of their squares over all steps, which
    approximates the Hessian's diagonal. With ê_k(1) the estimate at the task's first step::

        ê_k = Σ_p g_kp² / √(Σ_t g_kp² + 1e-7)
        w_k ← w_k exp(η ê_k / ê_k(1)),    then Σ w_k = T
        d = Σ w_k g_k

    As it is about what can still be gained, a task with noisy labels, whose loss stays high, does
    not take over.

    We differ in two points: a task that was absent keeps its estimate and its share of the weight;
    and tasks that share nothing with the others are weighed among themselves. T x P numbers are
    remembered, and weights as logarithms, so that none becomes 0 for good.

    Args:
        tasks: Names of the tasks.
        eta: Step size η of the weights.
        scale: "sum" and "paper": T equal gradients g give T g; "mean": they give g.
    """

    task_axes: ClassVar[Mapping[str, int]] = {"squares": 1, "first": 1, "log_weight": 1}
    column_state = ("squares",)
    combines = True
    divisible = True
    fresh = True

    refuses_unit = "it estimates what a task can still gain from the size of its gradient"

    @checked
    def __init__(
        self,
        tasks: Sequence[str],
        *,
        eta: PositiveFloat = 0.01,
        **common: Unpack[GradientOptions],
    ) -> None:
        super().__init__(tasks, **common)
        self.eta = eta
        self.squares = nn.Buffer(torch.zeros(len(self.tasks), 0))
        """Sums of squared gradients over the steps, (T, P)."""
        self.first = nn.Buffer(torch.zeros(len(self.tasks)))
        """Estimates at the first step, (T,); 0 where there was none."""
        self.log_weight = nn.Buffer(torch.zeros(len(self.tasks)))
        """Logarithms of the weights, (T,)."""

    def forward(self, jacobian: Tensor, losses: Tensor | None, present: Tensor) -> Tensor:
        own = self.task_weights[present].tolist()
        each = zip(jacobian, present.tolist(), own, strict=True)
        estimates = torch.stack([self._estimate(row, task, weight) for row, task, weight in each])
        estimates = self.over_columns(estimates)
        first = torch.where(self.first[present] > 0, self.first[present], estimates)
        self.first[present] = first
        gain = torch.where(first > 0, estimates / first, 0.0)
        before = self.log_weight[present]
        moved = before + self.eta * gain
        moved += before.logsumexp(0) - moved.logsumexp(0)  # the share of the present tasks
        self.log_weight[present] = moved
        weights = len(present) * moved.softmax(0)
        self.weights = weights.cpu().double()
        return weights.to(jacobian) @ jacobian

    def _estimate(self, row: Tensor, task: int, weight: float) -> Tensor:
        """Return ê_k of the gradient without its task weight, which may change."""
        found = []
        parts = (torch.split(each, _CHUNK) for each in (row, self.squares[task]))
        for new, kept in zip(*parts, strict=True):
            squares = new.to(kept).square()
            if weight != 1:
                squares /= weight**2
            kept += squares
            found.append((squares / (kept + _EPSILON).sqrt()).sum())
        return torch.stack(found).sum().to(self.first)
