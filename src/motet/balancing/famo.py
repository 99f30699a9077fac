"""Fast adaptive multitask optimization."""

from collections.abc import Mapping
from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn

from motet.balancing.adam import adam_step
from motet.balancing.families import LONG_WAIT, LossBalancer, by_task
from motet.balancing.families.uncompiled import uncompiled
from motet.options import NonNegativeFloat, PositiveFloat, Real, Sequence, StrictBool, checked
from motet.problems import InputError


@final
class FAMO(LossBalancer):
    """Let all losses fall at the same rate (Liu et al., NeurIPS 2023, arXiv:2306.03792).

    Each task has a learned ξ::

        z = softmax(ξ),    w_k = (z_k / D_k) / Σ_j (z_j / D_j),    D = L - lower bound + 1e-8

    After a step, ξ takes a step of Adam down δ = (∂z/∂ξ)ᵀ (log D before - log D after).

    We differ in two points. By default the losses "after" are those of the next step's batch: that
    costs nothing, but adds the noise of batches to δ. ``exact=True`` reads the same batch again, as
    the paper does: a forward pass more, whose losses `motet.Trainer`, or your own loop, passes to
    `after_step`. And our default "sum" scale multiplies by T, so that learning rates carry over
    from the plain sum; the paper's weights sum to 1.

    Only tasks that are present before and after a step update their ξ.

    Args:
        tasks: Names of the tasks.
        learning_rate: Learning rate of ξ.
        gamma: Weight decay of ξ, which pulls weights together; the paper uses 0.01 and 0.001.
        lower_bounds: Values that the losses stay above, one for all tasks or by name.
        exact: Whether the loop calls `after_step` with the losses of the same batch.
        scale: "sum": the weights sum to T; "mean" and "paper": to 1.

    Raises:
        InputError: If ``lower_bounds`` names no task, or a loss is below its bound (when called).
    """

    task_axes: ClassVar[Mapping[str, int]] = {"logits": 1, "moments": 1, "before": 1}
    refuses_weight = (
        "a factor on a loss changes neither its rate of decrease nor, after the division by it, "
        "the direction; use `equal` or `manual`"
    )

    @checked
    def __init__(
        self,
        tasks: Sequence[str],
        *,
        learning_rate: PositiveFloat = 0.025,
        gamma: NonNegativeFloat = 0.01,
        lower_bounds: Real | Mapping[str, Real] = 0.0,
        exact: StrictBool = False,
        scale: Literal["sum", "mean", "paper"] = "sum",
    ) -> None:
        super().__init__(tasks)
        self.learning_rate, self.gamma = learning_rate, gamma
        self.exact, self.scale = exact, scale
        bounds = torch.zeros(len(tasks))
        if isinstance(lower_bounds, Mapping):
            for index, bound in by_task(lower_bounds, tasks, "lower_bounds", complete=False):
                bounds[index] = bound
        else:
            bounds += lower_bounds
        self.lower_bounds = nn.Buffer(bounds, persistent=False)
        self.logits = nn.Buffer(torch.zeros(len(tasks)))
        """ξ, (T,)."""
        self.moments = nn.Buffer(torch.zeros(len(tasks), 3))
        """Memory of Adam, (T, 3)."""
        self.before = nn.Buffer(torch.zeros(len(tasks)))
        """D of the last step, (T,); 0 for tasks that were absent."""
        if exact:
            self.expect(
                "after_step(losses)",
                within=LONG_WAIT,
                otherwise="it learns nothing. Call it after every step with the losses of the same "
                "batch, or leave exact=True out",
            )

    def forward(self, losses: Tensor, present: Tensor) -> Tensor:
        distances = self._distances(losses, present)
        if not self.exact:
            self._learn(distances.detach(), present)
        self.before.zero_()
        self.before[present] = distances.detach().nan_to_num(0.0, 0.0, 0.0).to(self.before)
        z = torch.softmax(self.logits[present].to(losses), dim=0)
        factor = len(losses) if self.scale == "sum" else 1
        return factor * (z * distances.log()).sum() / (z / distances.detach()).sum()

    @uncompiled
    def after_step(self, losses: Mapping[str, Tensor]) -> None:
        """Learn from the losses of the same batch after the step, with ``exact=True``.

        Args:
            losses: Loss by task, without task weights.

        Raises:
            InputError: If a name is not a task, or a loss is below its bound.
        """
        self.heard("after_step")
        found = list(by_task(losses, self.tasks, "losses", complete=False))
        if not self.exact or not found:
            return
        present = torch.tensor([index for index, _ in found], device=self.logits.device)
        values = torch.stack([torch.as_tensor(loss).detach() for _, loss in found])
        values = values.to(present.device, torch.promote_types(values.dtype, torch.float32))
        self._learn(self._distances(values, present), present)

    def _distances(self, losses: Tensor, present: Tensor) -> Tensor:
        """Return D (T',)."""
        distances = losses - self.lower_bounds[present].to(losses) + 1e-8
        below = distances <= 0
        if bool(below.any()):  # a device sync on GPUs
            index = int(present[below][0])
            raise InputError(
                f"the loss of {self.tasks[index]!r} is {float(losses[below][0]):.4g}, below its "
                f"lower bound {float(self.lower_bounds[index]):.4g}; give lower_bounds that the "
                "losses stay above"
            )
        return distances

    def _learn(self, after: Tensor, present: Tensor) -> None:
        """Take a step down δ, for the tasks that were there before and after."""
        both = (self.before[present] > 0) & after.isfinite()
        rows, before = present[both], self.before[present[both]]
        z = torch.softmax(self.logits[rows], dim=0)
        decrease = before.log() - after[both].to(before).log()
        delta = z * (decrease - (z * decrease).sum())
        adam_step(
            self.logits, delta, self.moments, rows, rate=self.learning_rate, weight_decay=self.gamma
        )
