"""DSelect-k: each task selects k of the experts, the same for all rows."""

import math
from collections.abc import Iterator
from typing import Any, final

import torch
from torch import Tensor, nn

from motet.options import NonNegativeFloat, PositiveFloat, PositiveInt, Sequence, checked
from motet.problems import InputError
from motet.sharing.base import SharedModule, Sharing, Special
from motet.sharing.by_task import ByTask
from motet.sharing.experts import Layout, carried, lay_out, together
from motet.sharing.stages import Stages


@final
class DSelectK(Sharing):
    """Select k experts for each task, by gradient descent (Hazimeh et al., NeurIPS 2021).

    Experts are numbered in binary. A selector of a task has one learned number per digit, which the
    smooth step turns into 0 to 1, in the end exactly 0 or 1; the product over digits is its weight
    for an expert. k selectors are mixed by a softmax. The gates are those that the paper
    (arXiv:2106.03760) calls static: they do not depend on the row.

    Args:
        experts: How many experts there are; each is a copy of the encoder's stages after the first.
        k: How many experts a task selects at most.
        gamma: Width of the smooth step.
        entropy: Strength of the penalty that drives selectors to choose: the entropy of each, and,
            where the number of experts is not a power of 2, the inverse of its weight on existing
            experts.
        expert_width: Makes the experts one layer (linear, ReLU) of this width each, after all
            stages.
    """

    @checked
    def __init__(
        self,
        *,
        experts: PositiveInt = 8,
        k: PositiveInt = 2,
        gamma: PositiveFloat = 1.0,
        entropy: NonNegativeFloat = 1e-2,
        expert_width: PositiveInt | None = None,
    ) -> None:
        if not k <= experts or experts < 2:
            raise InputError(
                f"found {experts} with k: {k}, expected at least 2, and at least k",
                option="experts",
            )
        self.experts, self.k, self.gamma, self.entropy = experts, k, gamma, entropy
        self.expert_width = expert_width
        self.carries, self.keeps_encoder = carried(expert_width), expert_width is not None

    def build(self, stages: Sequence[nn.Module], tasks: Sequence[str], width: int) -> SharedModule:
        layout = lay_out(Stages.of(stages), width, 1, self.expert_width)
        gates = {task: SelectorGate(self.experts, self.k, self.gamma) for task in tasks}
        return _DSelectKModule(layout, gates, self.experts, self.entropy)


def smooth_step(t: Tensor, gamma: float) -> Tensor:
    """Go from 0 to 1 on |t| < γ/2, as -2 t³/γ³ + 3 t/(2 γ) + 1/2.

    Returns:
        The step, exactly 0 or 1 outside.

    Example:
        >>> smooth_step(torch.tensor([-0.5, 0.0, 0.25, 0.5]), 1.0)
        tensor([0.0000, 0.5000, 0.8438, 1.0000])
    """
    inside = (t / gamma).clamp(-0.5, 0.5)
    return -2 * inside**3 + 1.5 * inside + 0.5


class SelectorGate(nn.Module):
    """The gate of a task: ``digits`` (k, m) for m binary digits, ``mix`` (k,)."""

    def __init__(self, experts: int, k: int, gamma: float) -> None:
        super().__init__()
        digits = math.ceil(math.log2(experts))
        self.gamma = gamma
        # all on the slope at first, and different
        self.digits = nn.Parameter(torch.empty(k, digits).uniform_(-gamma / 100, gamma / 100))
        self.mix = nn.Parameter(torch.empty(k).uniform_(-0.05, 0.05))
        codes = torch.arange(experts).unsqueeze(1) >> torch.arange(digits) & 1
        self.codes = nn.Buffer(codes.bool(), persistent=False)

    def selectors(self) -> Tensor:
        """Return the weight of each expert for each selector (k, E)."""
        ones = smooth_step(self.digits, self.gamma).unsqueeze(1)
        return torch.where(self.codes, ones, 1 - ones).prod(dim=2)

    def forward(self) -> Tensor:
        """Return the weights of the experts (E,)."""
        return self.mix.softmax(dim=0) @ self.selectors()

    def indecision(self) -> Tensor:
        """Return the sum of the selectors' entropies; 0 once each has chosen."""
        selectors = self.selectors()
        entropy: Tensor = -torch.special.xlogy(selectors, selectors.clamp(min=1e-6)).sum()
        if len(self.codes) == 2 ** self.digits.shape[1]:
            return entropy
        there = selectors.sum(dim=1).clamp(min=1e-6)
        return entropy + (1 / there - 1).sum()

    def special_parameters(self) -> Iterator[tuple[nn.Parameter, Special]]:
        """Yield the digits, as weight decay would undo the choice."""
        yield self.digits, Special(decays=False)


class _DSelectKModule(SharedModule):
    def __init__(
        self, layout: Layout, gates: dict[str, SelectorGate], experts: int, entropy: float
    ) -> None:
        super().__init__()
        self.bottom = layout.bottom.chain()
        self.experts = together(layout.levels[0].copies(experts))
        self.gates = ByTask(gates)
        self.entropy = entropy
        self.width = layout.width

    def forward(self, inputs: Any, tasks: Sequence[str]) -> dict[str, Tensor]:
        states = self.experts(self.bottom(inputs))
        return {task: torch.einsum("e,be...->b...", self.gates[task](), states) for task in tasks}

    def task_parameters(self, task: str) -> Iterator[nn.Parameter]:
        yield from self.gates[task].parameters()

    def penalty(self, tasks: Sequence[str] | None = None) -> Tensor | None:
        """Return the indecision of the tasks' selectors, times its strength."""
        names = self.gates.names if tasks is None else tasks
        if not names or not self.entropy:
            return None
        return self.entropy * torch.stack([self.gates[name].indecision() for name in names]).sum()

    def describe(self) -> dict[str, Any]:
        """Return the weights of the experts for each task."""
        return {"gates": {task: self.gates[task]().tolist() for task in self.gates.names}}
