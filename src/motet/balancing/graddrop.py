"""Gradient sign dropout."""

from typing import final

import torch
from torch import Tensor, nn

from motet.balancing.families import GradientOptions, JacobianBalancer
from motet.options import Fraction, NonNegativeInt, Sequence, Unpack, checked
from motet.seeds import derive

_CHUNK = {True: 1 << 17, False: 1 << 24}
"""Numbers read at once, on CPUs and elsewhere: those of a CPU stay in its cache."""


@final
class GradDrop(JacobianBalancer):
    """Where gradients disagree in sign, keep one sign by chance.

    Source: Chen et al. (NeurIPS 2020, arXiv:2010.06808). For each coordinate::

        p = ½ (1 + Σg / Σ|g|),  u ~ U(0, 1):    keep positive entries if p > u, else negative ones

    and add up what is kept; a share ``leak`` of all passes anyway. Where all signs agree this is
    the sum.

    We differ in three points: a coordinate is a shared parameter, where the paper takes features of
    the representation, summed over the batch (with ``at="representation"`` it is a feature of one
    row); the leak is the same for all tasks; and the draw depends on (seed, step) alone, so every
    process of a run, and a run that was resumed, sees the same.

    Args:
        tasks: Names of the tasks.
        leak: Share of the gradients that is never dropped, below 1; 1 would be the plain sum.
        seed: Seed of the draws.
        scale: "sum" and "paper": T equal gradients g give T g; "mean": they give g.
    """

    fresh = True

    @checked
    def __init__(
        self,
        tasks: Sequence[str],
        *,
        leak: Fraction = 0.0,
        seed: NonNegativeInt = 0,
        **common: Unpack[GradientOptions],
    ) -> None:
        super().__init__(tasks, **common)
        self.leak, self.seed = leak, seed
        self.step = nn.Buffer(torch.tensor(0))

    def forward(self, jacobian: Tensor, losses: Tensor | None, present: Tensor) -> Tensor:
        device = jacobian.device
        seed = derive(self.seed, "graddrop", int(self.step))  # int: a device sync on GPUs
        self.step.add_(1)
        generator = torch.Generator(device).manual_seed(seed)
        direction = torch.empty_like(jacobian[0])
        width = max(1, _CHUNK[device.type == "cpu"] // len(jacobian))
        chunks = torch.split(jacobian, width, dim=1)
        for columns, part in zip(chunks, torch.split(direction, width), strict=True):
            u = torch.rand(part.shape, generator=generator, device=device)
            positive = columns.clamp(min=0).sum(dim=0)  # p = positive / (positive - negative)
            negative = columns.clamp(max=0).sum(dim=0)
            chosen = (positive > u * (positive - negative)).to(part)
            torch.lerp(negative, positive, chosen, out=part)  # exact at 0 and 1
            if self.leak:
                part.lerp_(positive.add_(negative), self.leak)
        return direction
