"""Multi-objective gradient correction."""

from collections.abc import Mapping
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from motet.balancing.families import GradientOptions, JacobianBalancer, rows_of
from motet.balancing.solvers import project_on_simplex
from motet.options import NonNegativeFloat, PositiveFloat, PositiveShare, Sequence, Unpack, checked


@final
class MoCo(JacobianBalancer):
    """Follow the shortest convex combination of running gradients (Fernando et al., ICLR 2023).

    Source: arXiv:2210.12624. At a task's t-th step::

        Y ← Y - β_t (Y - J),    β_t = β / t^σ
        λ ← Π(λ - γ_t (Y Yᵀ + ρ I) λ),    γ_t = γ / t^σ
        d = Yᵀ λ

    where Π projects on the simplex. Averaging takes out the bias that noise gives to `mgda`; with
    noiseless gradients λ goes to the same weights, one small step at a time. The step γ is taken on
    Y Yᵀ, so how fast λ moves depends on the size of the gradients: scale losses, or choose γ.

    We differ in three points: Y begins as the first gradient seen, not as 0, which would shrink the
    first steps; a task that was absent keeps its row and share; and tasks that share nothing with
    the others have λ and d of their own. T x P numbers are remembered.

    Args:
        tasks: Names of the tasks.
        beta: Share β of the newest gradient; 1 takes it alone.
        gamma: Step γ of λ.
        rho: Regularisation ρ, which draws λ to equal weights.
        decay: Exponent σ with which β and γ fall; 0 keeps them.
        scale: "sum": T equal gradients g give T g, as the plain sum does; "mean" and "paper": they
            give g.
    """

    task_axes: ClassVar[Mapping[str, int]] = {"tracked": 1, "share": 1, "steps": 1}
    column_state = ("tracked",)
    combines = True
    divisible = True
    fresh = True
    refuses_weight = (
        "the larger gradient gets the smaller weight, so it would count less, not more; "
        "use `upgrad` or `aligned`"
    )

    @checked
    def __init__(
        self,
        tasks: Sequence[str],
        *,
        beta: PositiveShare = 0.5,
        gamma: PositiveFloat = 0.1,
        rho: NonNegativeFloat = 0.0,
        decay: NonNegativeFloat = 0.5,
        **common: Unpack[GradientOptions],
    ) -> None:
        super().__init__(tasks, **common)
        self.beta, self.gamma, self.rho, self.decay = beta, gamma, rho, decay
        self.tracked = nn.Buffer(torch.zeros(len(self.tasks), 0))
        """Running gradients Y, (T, P)."""
        self.share = nn.Buffer(torch.full((len(self.tasks),), 1 / len(self.tasks)))
        """λ (T,); among the tasks present its parts are taken to sum to 1."""
        self.steps = nn.Buffer(torch.zeros(len(self.tasks)))
        """Steps in which each task was present, (T,)."""

    def forward(self, jacobian: Tensor, losses: Tensor | None, present: Tensor) -> Tensor:
        self.steps[present] += 1
        steps = self.steps[present].tolist()
        for row, task, step in zip(jacobian, present.tolist(), steps, strict=True):
            newest = 1.0 if step == 1 else self.beta / step**self.decay
            self.tracked[task].lerp_(row.to(self.tracked), newest)
        running = rows_of(self.tracked, present)
        self.weights = self._moved(running, present, self.gamma / max(steps) ** self.decay)
        return (self.weights.to(running) @ running).to(jacobian)

    def _moved(self, running: Tensor, present: Tensor, gamma: float) -> Tensor:
        """Make one step of λ among the present tasks; return their parts (T',), which sum to 1."""
        if len(present) == 1:
            return torch.ones(1, dtype=torch.float64)
        share = self.share[present].cpu().double()
        held = float(share.sum())
        if held > 0:
            start = share / held
        else:  # all of it is with absent tasks
            start, held = torch.full_like(share, 1 / len(share)), len(share) / len(self.tasks)
        # Y Yᵀ λ, without the matrix
        slope = self.over_columns(running @ (start.to(running) @ running))
        moved = start - gamma * (slope.cpu().double() + self.rho * start)
        found = torch.from_numpy(project_on_simplex(moved.numpy()))
        self.share[present] = (found * held).to(self.share)
        return found

    def in_sum_scale(self, direction: Tensor, count: int) -> Tensor:
        return direction.mul_(count)
