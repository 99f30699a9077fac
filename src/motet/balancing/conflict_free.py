"""Conflict-free gradients with given cosines."""

from typing import final

import torch
from torch import Tensor

from motet.balancing.families import GramianBalancer, GramianOptions
from motet.balancing.solvers import OK, given_cosines, min_norm_point
from motet.balancing.solvers.solution import (
    ALL_ZERO,
    ZERO_WEIGHT,
    Array,
    inverse_lengths,
    unit_rows,
)
from motet.options import Sequence, Unpack, checked


@final
class ConFIG(GramianBalancer):
    """Find the direction with the same angle to all gradients.

    Source: Liu, Chu & Thuerey (ICLR 2025, arXiv:2408.11104)::

        u = unit(Ĵ⁺ π),  Ĵ the unit gradients:    d = (Σ_k g_k·u) u

    With independent gradients no task is in conflict. Dependent ones get the direction whose
    cosines are nearest to equal; if that is 0, as for two opposed gradients, the status reports it.

    A task weight π_k is a preference: the cosines are proportional to it. Scaling all weights
    together changes nothing.

    Args:
        tasks: Names of the tasks.
        scale: "sum" and "paper": T equal gradients g give T g; "mean": they give g.
        **common: Options of every Gramian balancer; see `GramianOptions`.
    """

    scales_rows = False
    refuses_unit = "the direction is found from unit gradients already"

    @checked
    def __init__(
        self,
        tasks: Sequence[str],
        **common: Unpack[GramianOptions],
    ) -> None:
        super().__init__(tasks, **common)

    def forward(self, gramian: Tensor, losses: Tensor | None, present: Tensor) -> Tensor:
        targets = self.preference(present).numpy()
        weights, self.status = common_angle(gramian.numpy(), targets, self.resolution)
        return torch.from_numpy(weights)


def common_angle(gramian: Array, targets: Array, tolerance: float) -> tuple[Array, str]:
    """Return weights (T,) and a status; see `ConFIG`."""
    lengths, _ = unit_rows(gramian)
    some = lengths > 0
    if not some.any():
        return targets, ALL_ZERO
    on_units, reached = given_cosines(gramian, targets * some, tolerance)
    norm2 = on_units @ reached  # ‖Ĵ⁺π‖²
    if norm2 < 1e-8 * (targets @ targets):
        status = "no direction is nearer to the requested cosines than 0: minimum-norm weights"
        return min_norm_point(gramian).weights, status
    weights = on_units * inverse_lengths(lengths) * ((lengths @ reached) / norm2)
    return weights, OK if some.all() else ZERO_WEIGHT
