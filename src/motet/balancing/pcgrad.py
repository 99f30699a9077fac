"""Projecting conflicting gradients."""

from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from motet.balancing.families import GramianBalancer, GramianOptions
from motet.balancing.solvers.solution import Array, inverse_lengths, unit_rows
from motet.options import NonNegativeInt, Sequence, Unpack, checked
from motet.seeds import derive


@final
class PCGrad(GramianBalancer):
    """Take out of each gradient what conflicts with another, then add up.

    Source: Yu et al. (NeurIPS 2020, arXiv:2001.06782)::

        g_i' = g_i;  for j ≠ i in random order:  if g_i'·g_j < 0:  g_i' -= (g_i'·g_j / ‖g_j‖²) g_j
        d = Σ g_i'

    From three tasks on, the result depends on the order, and tasks may stay in conflict.

    We differ in one point: all is done on inner products. And the order depends on (seed, step)
    alone, so every process of a run, and a run that was resumed, sees the same.

    Args:
        tasks: Names of the tasks.
        seed: Seed of the random order.
        scale: "sum" and "paper": T equal gradients g give T g; "mean": they give g.
        **common: Options of every Gramian balancer; see `GramianOptions`.
    """

    @checked
    def __init__(
        self,
        tasks: Sequence[str],
        *,
        seed: NonNegativeInt = 0,
        **common: Unpack[GramianOptions],
    ) -> None:
        super().__init__(tasks, **common)
        self.seed = seed
        self.step = nn.Buffer(torch.tensor(0))

    def forward(self, gramian: Tensor, losses: Tensor | None, present: Tensor) -> Tensor:
        seed = derive(self.seed, "pcgrad", int(self.step))
        self.step.add_(1)
        orders = random_orders(seed, len(self.tasks), present)
        return torch.from_numpy(project_conflicts(gramian.numpy(), orders))


def project_conflicts(gramian: Array, orders: NDArray[np.int64]) -> Array:
    """Return the weights (T,) of Σ g_i' for given orders.

    Args:
        gramian: Inner products of the gradients, (T, T).
        orders: The other tasks of each task, in the order in which they are met, (T, T - 1).

    Returns:
        The weights.

    Example:
        >>> project_conflicts(np.array([[1.0, -1.0], [-1.0, 2.0]]), np.array([[1], [0]]))
        array([2. , 1.5])
    """
    if len(gramian) == 2:
        (first, inner), (_, second) = gramian.tolist()
        conflict = min(inner, 0.0)
        return np.array(
            [1 - (conflict / first if first else 0), 1 - (conflict / second if second else 0)]
        )
    lengths, cosines = unit_rows(gramian)
    everyone = np.arange(len(gramian))
    # row i holds g_i' / ‖g_i‖: its weights on the unit gradients, its products with them
    weights, products = np.eye(len(gramian)), cosines.copy()
    for other in orders.T:  # all tasks at once meet their next other one
        conflict = np.minimum(products[everyone, other], 0.0)
        weights[everyone, other] -= conflict
        products -= conflict[:, None] * cosines[other]
    total: Array = (lengths @ weights) * inverse_lengths(lengths) + (lengths == 0)
    return total


def random_orders(seed: int, count: int, present: Tensor) -> NDArray[np.int64]:
    """Draw for each of T' present tasks an order of the others, (T', T' - 1).

    Returns:
        Indices into the present tasks. The draw for two does not depend on who else is present.
    """
    here = present.numpy()
    if len(here) == 2:
        return np.array([[1], [0]])
    generator = torch.Generator().manual_seed(seed)
    draws = torch.rand(count, count, generator=generator).numpy()[here[:, None], here]
    np.fill_diagonal(draws, 2.0)
    orders: NDArray[np.int64] = draws.argsort(axis=1)[:, :-1]
    return orders
