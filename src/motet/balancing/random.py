"""Random loss weights."""

from typing import Literal, final

import torch
from torch import Tensor, nn

from motet.balancing.families import LossBalancer
from motet.options import NonNegativeInt, Sequence, checked
from motet.seeds import derive


@final
class RLW(LossBalancer):
    """Weigh tasks by a new random draw at every step (Lin et al., TMLR 2022, arXiv:2111.10603).

    The weights sum to 1 in the paper: the softmax of normal draws, Dirichlet draws, or equal shares
    of the tasks that a fair coin chose, thrown again while it chose none.

    We differ in two points: our default "sum" scale multiplies by T, so that the expected weight is
    1, as in the plain sum. And the draw depends on (seed, step) alone, so every process of a run,
    and a run that was resumed, sees the same.

    Args:
        tasks: Names of the tasks.
        distribution: What is drawn.
        seed: Seed of the draws.
        scale: "sum": the weights sum to T; "mean" and "paper": to 1.
    """

    @checked
    def __init__(
        self,
        tasks: Sequence[str],
        *,
        distribution: Literal["normal", "dirichlet", "bernoulli"] = "normal",
        seed: NonNegativeInt = 0,
        scale: Literal["sum", "mean", "paper"] = "sum",
    ) -> None:
        super().__init__(tasks)
        self.distribution, self.seed, self.scale = distribution, seed, scale
        self.step = nn.Buffer(torch.tensor(0))

    def forward(self, losses: Tensor, present: Tensor) -> Tensor:
        seed = derive(self.seed, "random", int(self.step))  # int: a device sync on GPUs
        self.step.add_(1)
        generator = torch.Generator().manual_seed(seed)
        weights = self._draw(generator, present.cpu()).to(losses)
        factor = len(losses) if self.scale == "sum" else 1
        return factor * (weights * losses).sum()

    def _draw(self, generator: torch.Generator, present: Tensor) -> Tensor:
        count = len(self.tasks)  # so that a task's draw does not depend on who else is present
        if self.distribution == "normal":
            return torch.randn(count, generator=generator)[present].softmax(dim=0)
        if self.distribution == "dirichlet":  # all its parameters 1: exponential draws, normalised
            draws = -torch.log1p(-torch.rand(count, generator=generator, dtype=torch.float64))
            return draws[present] / draws[present].sum()
        while True:
            chosen = torch.rand(count, generator=generator)[present] < 0.5
            if chosen.any():
                return chosen / chosen.sum()
