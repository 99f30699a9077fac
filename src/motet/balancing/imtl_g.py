"""Impartial multi-task learning, gradient balance."""

from typing import final

import numpy as np
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

_SMALLEST_SUM = 0.1  # of Σ|w|: below, Σw = 1 would blow the direction up or turn it around


@final
class IMTLG(GramianBalancer):
    """Find the direction with equal projections on all gradients (Liu et al., ICLR 2021).

    ::

        d·g_k / ‖g_k‖ equal for all k,  Σ w_k = 1:    w ∝ G⁻¹ √diag(G)

    Weights may be negative.

    We differ in three points. Where the weights before normalising sum to less than a tenth of
    their absolute values, Σw = 1 would blow the step up, or make every task worse at once; there
    we divide by Σ|w|, and the status reports it. Where gradients are dependent, the pseudo-inverse
    of the cosines gives the direction whose projections are nearest to equal. A gradient of 0 is
    left out.

    Args:
        tasks: Names of the tasks.
        scale: "sum": T equal gradients g give T g, as the plain sum does; "mean" and "paper": they
            give g.
        **common: Options of every Gramian balancer; see `GramianOptions`.
    """

    refuses_weight = (
        "the projections come out equal whatever a gradient's length; use `conflict_free`, where "
        "a weight is a preference"
    )

    refuses_unit = "the projections are on unit gradients already"

    @checked
    def __init__(
        self,
        tasks: Sequence[str],
        **common: Unpack[GramianOptions],
    ) -> None:
        super().__init__(tasks, **common)

    def forward(self, gramian: Tensor, losses: Tensor | None, present: Tensor) -> Tensor:
        weights, self.status = equal_projections(gramian.numpy(), self.resolution)
        return torch.from_numpy(weights)

    def in_sum_scale(self, weights: Tensor) -> Tensor:
        return weights * len(weights)


def equal_projections(gramian: Array, tolerance: float) -> tuple[Array, str]:
    """Return weights (T,) and a status; see `IMTLG`."""
    lengths, _ = unit_rows(gramian)
    some = lengths > 0
    if not some.any():
        return np.full(len(gramian), 1 / len(gramian)), ALL_ZERO
    on_units, reached = given_cosines(gramian, some.astype(float), tolerance)
    if np.abs(reached).max() < 1e-8:
        status = "no direction is nearer to equal projections than 0: minimum-norm weights"
        return min_norm_point(gramian).weights, status
    weights = on_units * inverse_lengths(lengths) * lengths[some].min()  # scaled against overflow
    total, size = weights.sum(), np.abs(weights).sum()
    if total < _SMALLEST_SUM * size:
        status = f"the weights sum to {total / size:.2g} of their absolute values: divided by those"
        return weights / size, status
    return weights / total, OK if some.all() else ZERO_WEIGHT
