"""Dynamic task prioritisation: the focal loss, one level up."""

from collections.abc import Mapping
from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn

from motet.balancing.families import LossBalancer, numbers_by_task
from motet.balancing.families.uncompiled import uncompiled
from motet.options import NonNegativeFloat, PositiveShare, Sequence, checked
from motet.problems import InputError

_SMALLEST = 1e-3


@final
class Focal(LossBalancer):
    """Give more weight to hard tasks (Guo et al., ECCV 2018: dynamic task prioritisation).

    Each task has an indicator κ of how well it does, 1 at best, and its average κ̄::

        w_k = -(1 - κ̄_k)^γ log κ̄_k,    κ̄ <- rate κ + (1 - rate) κ̄

    κ is the task's normalised score (0 ignores the input, 1 is perfect) once `observe_scores` was
    called; `motet.Trainer` calls it after every evaluation on the validation data.
    Until then, and without any, it is exp(-L) of each step's loss L, for a cross-entropy the mean
    probability of the true class.

    We differ in two points. κ̄ is held in [0.001, 0.999], so that no task is ignored for good.
    And our default "sum" scale divides by the mean weight: else the update would vanish as all
    tasks get better. For the loss of single examples see ``loss: focal`` of a classification.

    Args:
        tasks: Names of the tasks.
        gamma: γ; the larger, the more weight hard tasks get compared with easy ones.
        rate: Share of the newest κ in its average; 1 takes it alone.
        scale: "sum": the weights sum to T; "mean": to 1; "paper": the formula.
    """

    task_axes: ClassVar[Mapping[str, int]] = {"indicator": 1, "source": 1}

    @checked
    def __init__(
        self,
        tasks: Sequence[str],
        *,
        gamma: NonNegativeFloat = 2.0,
        rate: PositiveShare = 0.1,
        scale: Literal["sum", "mean", "paper"] = "sum",
    ) -> None:
        super().__init__(tasks)
        self.gamma, self.rate, self.scale = gamma, rate, scale
        self.indicator = nn.Buffer(torch.zeros(len(tasks)))
        """κ̄ of each task, (T,)."""
        self.source = nn.Buffer(torch.zeros(len(tasks)))
        """What κ̄ is an average of, (T,): 0 nothing yet, 1 losses, 2 scores."""

    def forward(self, losses: Tensor, present: Tensor) -> Tensor:
        plain = losses.detach() / self.task_weights[present].to(losses)
        self._observe(torch.exp(-plain), present, source=1)
        return (self.weights(present).to(losses) * losses).sum()

    def weights(self, present: Tensor) -> Tensor:
        """Return the weights (T',) of the present tasks."""
        kappa = self.indicator[present].clamp(_SMALLEST, 1 - _SMALLEST)
        weights = -((1 - kappa) ** self.gamma) * kappa.log()
        if self.scale == "paper":
            return weights
        return weights / (weights.sum() if self.scale == "mean" else weights.mean())

    @uncompiled
    def observe_scores(self, scores: Mapping[str, float]) -> None:
        """Read how well tasks do; from then on their losses are not used.

        Args:
            scores: Normalised scores by task; NaN is skipped.

        Raises:
            InputError: If a name is not a task, or a score is not a number or above 1.
        """
        found = list(numbers_by_task(scores, self.tasks, "scores"))
        for index, score in found:
            if score > 1.001:
                raise InputError(
                    f"the score of {self.tasks[index]!r} is {score:.4g}, expected at most "
                    "1, which is perfect; 0 is a predictor that ignores the input"
                )
        if found:
            indices, values = (torch.tensor(each) for each in zip(*found, strict=True))
            self._observe(values.to(self.indicator), indices.to(self.indicator.device), source=2)

    def _observe(self, kappa: Tensor, present: Tensor, *, source: int) -> None:
        own, known = self.indicator[present], self.source[present]
        kappa = kappa.to(own).clamp(_SMALLEST, 1 - _SMALLEST)
        average = torch.where(known == source, torch.lerp(own, kappa, self.rate), kappa)
        wanted = (known <= source) & kappa.isfinite()
        self.indicator[present] = torch.where(wanted, average, own)
        self.source[present] = torch.where(wanted, float(source), known)
