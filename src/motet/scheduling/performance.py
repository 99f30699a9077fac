"""Tasks drawn by how badly they do."""

import math
from typing import Literal, final

import torch
from torch import nn

from motet.options import (
    Annotated,
    Fraction,
    Mapping,
    OnlyWith,
    PositiveFloat,
    PositiveInt,
    Sequence,
    Share,
    checked,
)
from motet.scheduling.base import Need
from motet.scheduling.by_odds import ByOdds


@final
class Performance(ByOdds):
    """Draw the tasks that do badly more often.

    By scores, p ∝ max(1 - κ, ε)^γ, where κ is a moving average of the normalised validation score,
    clipped to [0, 1]; 0 until there is one (close to dynamic task prioritisation, Guo et al.,
    ECCV 2018). By losses, p = softmax(β L / L(0)), where L is a moving average of the training loss
    and L(0) its first value; the ratio is 1 until the task has trained, and where L(0) ≤ 0.

    Args:
        tasks: Names of the tasks.
        form: Whether to read the ``score`` of evaluations, which needs validation data, or the
            ``loss`` of steps.
        gamma: γ: the larger, the more the worst task is drawn; 1 if left out.
        epsilon: ε, the smallest distance to a perfect score that counts, so that no task is
            forgotten; 0.05 if left out.
        beta: β; 1 if left out.
        smoothing: Share of the moving average that stays at each new value; if left out 0.5 of
            scores, 0.9 of losses.
        tasks_per_step: Number of tasks that train at each step.

    Example:
        >>> scheduler = Performance(["good", "bad"])
        >>> scheduler.observe_scores({"good": 0.9, "bad": 0.5})
        >>> [round(p, 4) for p in scheduler.probabilities(["good", "bad"])]
        [0.1667, 0.8333]
    """

    @checked
    def __init__(
        self,
        tasks: Sequence[str],
        *,
        form: Literal["score", "loss"] = "score",
        gamma: Annotated[PositiveFloat | None, OnlyWith("form", ("score",))] = None,
        epsilon: Annotated[Share | None, OnlyWith("form", ("score",))] = None,
        beta: Annotated[PositiveFloat | None, OnlyWith("form", ("loss",))] = None,
        smoothing: Fraction | None = None,
        tasks_per_step: PositiveInt = 1,
    ) -> None:
        super().__init__(tasks, tasks_per_step)
        by_score = form == "score"
        self.form = form
        self.needs = frozenset[Need]({"scores" if by_score else "losses"})
        self.gamma, self.beta = gamma or 1.0, beta or 1.0
        self.epsilon = 0.05 if epsilon is None else epsilon
        self.smoothing = (0.5 if by_score else 0.9) if smoothing is None else smoothing
        unknown = torch.full((len(self.tasks),), math.nan, dtype=torch.float64)
        self.average = nn.Buffer(unknown.clone())
        self.first = nn.Buffer(unknown.clone())

    def odds(self, tasks: Sequence[str]) -> Sequence[float]:
        places = [self.tasks.index(task) for task in tasks]
        averages = self.average[places]
        if self.form == "score":
            odds = (1 - averages.nan_to_num(0)).clamp(min=self.epsilon) ** self.gamma
            return [1.0] * len(tasks) if not odds.any() else odds.tolist()
        ratios = averages / self.first[places]
        ratios[ratios.isnan() | (self.first[places] <= 0)] = 1.0
        found: list[float] = torch.softmax(self.beta * ratios, dim=0).tolist()
        return found

    def observe_scores(self, scores: Mapping[str, float]) -> None:
        self._average({task: min(max(score, 0.0), 1.0) for task, score in scores.items()})

    def observe_losses(self, losses: Mapping[str, float]) -> None:
        self._average(losses)

    def _average(self, values: Mapping[str, float]) -> None:
        for place, task in enumerate(self.tasks):
            if task not in values:
                continue
            value = values[task]
            if self.first[place].isnan():
                self.first[place] = self.average[place] = value
            else:
                self.average[place].lerp_(torch.tensor(value).double(), 1 - self.smoothing)
