"""Gradient vaccine."""

from collections.abc import Mapping
from typing import ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from motet.balancing.families import GramianBalancer, GramianOptions
from motet.balancing.pcgrad import random_orders
from motet.balancing.solvers.solution import Array, inverse_lengths, unit_rows
from motet.options import Fraction, NonNegativeInt, Sequence, Unpack, checked
from motet.seeds import derive

_LARGEST_TARGET = 1 - 1e-6  # nearer to 1, g_i' would turn into a huge multiple of g_j
_NOTHING_LEFT = 1e-14  # of ‖g_i‖²: below, g_i' is rounding


@final
class GradVac(GramianBalancer):
    """Turn each gradient towards the others until they agree as much as they used to.

    Source: Wang et al. (ICLR 2021, arXiv:2010.05874). With φ_ij = cos(g_i', g_j) and the target
    φ̂_ij, its running mean::

        g_i' = g_i;  for j ≠ i in random order:
            if φ_ij < φ̂_ij:  g_i' += g_j ‖g_i'‖ (φ̂ √(1-φ²) - φ √(1-φ̂²)) / (‖g_j‖ √(1-φ̂²))
            φ̂_ij ← (1-β) φ̂_ij + β φ_ij
        d = Σ g_i'

    after which cos(g_i', g_j) = φ̂_ij. With φ̂ = 0, as at the start, this is PCGrad.

    We differ in two points: there is one target per pair of tasks for all shared parameters, not
    one per layer; and the order depends on (seed, step) alone, as in `PCGrad`. A gradient of 0 has
    no cosine, and leaves the targets alone.

    Args:
        tasks: Names of the tasks.
        beta: Share β of the newest cosine in the target.
        seed: Seed of the random order.
        scale: "sum" and "paper": T equal gradients g give T g; "mean": they give g.
        **common: Options of every Gramian balancer; see `GramianOptions`.
    """

    task_axes: ClassVar[Mapping[str, int]] = {**GramianBalancer.task_axes, "target": 2}

    @checked
    def __init__(
        self,
        tasks: Sequence[str],
        *,
        beta: Fraction = 1e-2,
        seed: NonNegativeInt = 0,
        **common: Unpack[GramianOptions],
    ) -> None:
        super().__init__(tasks, **common)
        self.beta, self.seed = beta, seed
        self.step = nn.Buffer(torch.tensor(0))
        self.target = nn.Buffer(torch.zeros(len(self.tasks), len(self.tasks)))

    def forward(self, gramian: Tensor, losses: Tensor | None, present: Tensor) -> Tensor:
        seed = derive(self.seed, "gradvac", int(self.step))
        self.step.add_(1)
        orders = random_orders(seed, len(self.tasks), present)
        pairs = present.to(self.target.device)[:, None], present.to(self.target.device)
        target = self.target[pairs].cpu().double().numpy()
        weights = vaccinate(gramian.numpy(), target, orders, self.beta)
        self.target[pairs] = torch.from_numpy(target).to(self.target)
        return torch.from_numpy(weights)


def vaccinate(gramian: Array, target: Array, orders: NDArray[np.int64], beta: float) -> Array:
    """Return the weights (T,) of Σ g_i'; moves ``target`` (T, T) towards the cosines met.

    Args:
        gramian: Inner products of the gradients, (T, T).
        target: Cosines φ̂_ij aimed at, (T, T); changed in place.
        orders: The other tasks of each task, in the order in which they are met, (T, T - 1).
        beta: Share of the newest cosine.

    Returns:
        The weights.
    """
    lengths, cosines = unit_rows(gramian)
    everyone = np.arange(len(gramian))
    pairs = everyone, orders.T  # (T - 1, T): all tasks at once meet their next other one
    aims = np.clip(target[pairs], -_LARGEST_TARGET, _LARGEST_TARGET)
    sines = np.sqrt(1 - aims**2)
    met, phis = (lengths > 0) & (lengths[orders.T] > 0), np.zeros_like(aims)
    # row i holds g_i' / ‖g_i‖: its weights on the unit gradients, its products with them
    weights, products = np.eye(len(gramian)), cosines.copy()
    length2 = np.ones_like(lengths)
    for step, other in enumerate(orders.T):
        met[step] &= length2 > _NOTHING_LEFT
        length = np.sqrt(np.maximum(length2, _NOTHING_LEFT))
        product, aim = products[everyone, other], aims[step]
        phi = product / length
        pull = length * (aim * np.sqrt(np.maximum(1 - phi * phi, 0.0)) / sines[step] - phi)
        pull *= met[step] & (phi < aim)
        length2 += pull * (2 * product + pull)
        weights[everyone, other] += pull
        products += pull[:, None] * cosines[other]
        phis[step] = phi
    target[pairs] += beta * met * (np.clip(phis, -1.0, 1.0) - target[pairs])
    total: Array = (lengths @ weights) * inverse_lengths(lengths) + (lengths == 0)
    return total
