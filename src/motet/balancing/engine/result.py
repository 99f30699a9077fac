"""What one call of `motet.backward` did."""

import operator
from dataclasses import dataclass, field
from functools import reduce

import torch
from torch import Tensor

from motet.balancing.engine.gradient_rows import GradientRows
from motet.balancing.families import Balancer

Own = list[tuple[str, Tensor, Tensor]]
"""Task, leaf and gradient, of the tasks' own leaves."""


@dataclass(frozen=True)
class BackwardResult:
    """What one call of `motet.backward` did. Every T' follows ``tasks``."""

    tasks: tuple[str, ...]
    """Tasks that took part."""
    losses: dict[str, Tensor]
    """Their losses, detached."""
    weights: dict[str, Tensor] | None
    """How much each task counted; None where there are no weights, or not yet."""
    path: str
    """How the gradients were computed."""
    gramian: Tensor | None = None
    """Inner products of the task gradients (T', T'), float64 on the CPU, where they were needed."""
    status: str = "ok"
    """The solver's status: "ok", or what was done instead and why."""
    components: tuple[tuple[str, ...], ...] = ()
    """Groups of tasks that share parameters; each was balanced on its own."""
    rows: GradientRows | None = field(default=None, repr=False)
    """Task gradients on the shared leaves, while they wait to be solved (``solve=False``).

    No later call writes to them; once solved, their memory is reused."""
    own: tuple[tuple[str, Tensor, Tensor], ...] = field(default=(), repr=False)
    """Task, leaf and gradient that wait to be weighted with them."""
    balancer: Balancer | None = field(default=None, repr=False)
    """The balancer that will solve them (``solve=False``)."""
    waiting: tuple[Tensor, ...] = field(default=(), repr=False)
    """Leaves whose post-accumulate hooks are still to run (``solve=False``)."""
    combined: Tensor | None = field(default=None, repr=False)
    """The total of a loss balancer; see `total`."""

    @property
    def total(self) -> Tensor | None:
        """One number for the whole step, a detached scalar, without ``penalty``.

        For loss balancers the combined loss that was differentiated, for others the sum of the
        losses times their weights; None where there are no weights, or not yet. Totals of two steps
        compare only where the weights are fixed.
        """
        if self.combined is not None or self.weights is None:
            return self.combined
        weighted = [self.weights[task].to(loss.device) * loss for task, loss in self.losses.items()]
        return reduce(operator.add, weighted)

    @property
    def cosines(self) -> Tensor | None:
        """Cosines between task gradients (T', T'); 0 with a zero gradient; None without Gramian."""
        if self.gramian is None:
            return None
        lengths = self.gramian.diagonal().sqrt()
        lengths = torch.where(lengths > 0, lengths, torch.inf)
        return self.gramian / torch.outer(lengths, lengths)

    @property
    def gradient_norms(self) -> dict[str, float] | None:
        """Length of each task's gradient on the shared parameters; None without Gramian."""
        if self.gramian is None:
            return None
        return dict(zip(self.tasks, self.gramian.diagonal().sqrt().tolist(), strict=True))
