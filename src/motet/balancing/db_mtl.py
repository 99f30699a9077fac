"""Dual-balancing multi-task learning."""

from collections.abc import Mapping
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from motet.balancing.families import GradientOptions, JacobianBalancer, rows_of
from motet.balancing.log import positive
from motet.options import Fraction, NonNegativeFloat, Sequence, Unpack, checked
from motet.problems import InputError

_EPSILON = 1e-8  # of the paper, added to a loss before its logarithm


@final
class DBMTL(JacobianBalancer):
    """Take gradients of logarithms of losses, and make them all as long as the longest.

    Source: Lin et al. (2023, arXiv:2308.12029). At a task's t-th step::

        g_k = ∇ log(L_k + 1e-8)
        ĝ_k ← β_t ĝ_k + (1 - β_t) g_k,    β_t = β / t^σ
        d = Σ (max_j ‖ĝ_j‖ / ‖ĝ_k‖) ĝ_k

    Logarithms even out losses of different scale, common lengths even out gradients, and the
    running mean ĝ keeps noise out of both. Losses must be positive.

    We differ in three points: ĝ is a mean of the gradients seen, where the authors' begins at 0 and
    makes the first step ten times too small; a task that was absent keeps its own; and parameters
    of a task alone get the gradient of its loss, as with all balancers that read gradients, not of
    its logarithm. T x P numbers are remembered. ``weights`` are the factor of ĝ_k over the loss.

    Args:
        tasks: Names of the tasks.
        beta: Share β of the past in the running gradient; 0 takes the newest alone.
        decay: Exponent σ with which β falls; 0 keeps it.
        scale: "sum" and "paper": T equal gradients g of logarithms give T g; "mean": they give g.

    Raises:
        InputError: If a loss is negative, or losses are not given (when called).
    """

    task_axes: ClassVar[Mapping[str, int]] = {"average": 1, "mass": 1, "steps": 1}
    column_state = ("average",)
    combines = True
    divisible = True
    fresh = True
    refuses_weight = (
        "a factor on a loss only adds a constant to its logarithm; use `upgrad` or `aligned`"
    )

    refuses_unit = (
        "gradients of logarithms do not depend on the scale of a loss, and become equally long"
    )

    @checked
    def __init__(
        self,
        tasks: Sequence[str],
        *,
        beta: Fraction = 0.9,
        decay: NonNegativeFloat = 0.0,
        **common: Unpack[GradientOptions],
    ) -> None:
        super().__init__(tasks, **common)
        self.beta, self.decay = beta, decay
        self.average = nn.Buffer(torch.zeros(len(self.tasks), 0))
        """Running gradients ĝ, (T, P)."""
        self.mass = nn.Buffer(torch.zeros(len(self.tasks)))
        """What the shares of all gradients in a mean from 0 sum to, 1 in the end, (T,)."""
        self.steps = nn.Buffer(torch.zeros(len(self.tasks)))
        """Steps in which each task was present, (T,)."""

    def forward(self, jacobian: Tensor, losses: Tensor | None, present: Tensor) -> Tensor:
        inverse = self._inverse(losses, present)
        self.steps[present] += 1
        beta = self.beta / self.steps[present] ** self.decay
        mass = beta * self.mass[present] + (1 - beta)
        self.mass[present] = mass
        shares = ((1 - beta) / mass).tolist()  # 1 at first
        factors = inverse.tolist()
        for row, task, share, factor in zip(
            jacobian, present.tolist(), shares, factors, strict=True
        ):
            self.average[task].lerp_(row.to(self.average) * factor, share)
        running = rows_of(self.average, present)
        lengths = self.lengths(running).cpu().double()
        up = torch.where(lengths > 0, lengths.max() / lengths, 1.0)  # 0 stays 0
        self.weights = up * inverse
        return (up.to(running) @ running).to(jacobian)

    def _inverse(self, losses: Tensor | None, present: Tensor) -> Tensor:
        """Return d log(L + ε) / dL (T',), float64 on the CPU."""
        if losses is None:
            raise InputError("db_mtl takes logarithms of the losses; pass them too")
        known = positive(losses.detach().cpu().double(), [self.tasks[k] for k in present])
        return 1 / (known + _EPSILON)
