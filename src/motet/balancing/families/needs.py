"""What a balancer needs of a step and of the training loop, in one record.

The engine and the training loop decide by this record alone. A family declares what it reads, and a
member what holds for it, as class attributes; the rest follows from the methods that a member has
(`motet.balancing.families.protocols`).
"""

from dataclasses import dataclass
from typing import Any, Literal

Reads = Literal["losses", "gramian", "jacobian"]


@dataclass(frozen=True)
class Needs:
    """What a balancer needs of a step and of the training loop."""

    reads: Reads
    """What weights or a direction are computed from: the losses (T',), the inner products of the
    task gradients (T', T'), or the gradients themselves (T', P)."""
    norms: Literal["last", "all"] | None = None
    """On which shared parameters norms of the task gradients are computed, beside the losses: those
    of the last layer, or all."""
    penalizes_norms: bool = False
    """Whether these norms are differentiated as part of the total."""
    fixed_weights: bool = False
    """Whether the total is the sum of the losses times the task weights, and nothing is learned."""
    gives_weights: bool = True
    """Whether the direction is a weighted sum of the task gradients."""
    scales_losses: bool = False
    """Whether parameters of a task alone get the gradient of its scaled loss (`loss_scales`)."""
    columns_stay: bool = False
    """Whether every step must have the same shared parameters in the same order."""
    compares: bool = True
    """Whether its weights follow from several tasks together, so that one alone leaves nothing to
    balance."""
    priorities: bool = False
    """Whether the priority of the tasks has an effect."""
    draws: bool = False
    """Whether it draws from torch's generators, which processes then share."""
    looks_ahead: bool = False
    """Whether it learns from a validation batch before each step."""
    after_step: bool = False
    """Whether it reads the losses of the same batch after the step, for one more forward pass."""
    epochs: bool = False
    """Whether it reads the mean losses of every epoch."""
    scores: bool = False
    """Whether it reads the scores of every evaluation."""
    inner: "Needs | None" = None
    """What the loss balancer inside needs, which weights the losses before; None without one. What
    it needs of the training loop is part of the record around it."""

    @property
    def gradients(self) -> bool:
        """Whether it reads anything of the task gradients."""
        return self.reads != "losses" or self.norms is not None


def needs_of(balancer: Any) -> Needs:
    """Derive what a balancer needs from its class attributes and its methods."""
    losses = balancer.reads == "losses"
    penalizes = losses and _has(balancer, "penalty", "layer")
    norms = penalizes or (losses and _has(balancer, "observe_norms", "layer"))
    inner = None if losses or balancer.losses is None else balancer.losses.needs
    return Needs(
        reads=balancer.reads,
        norms=balancer.layer if norms else None,
        penalizes_norms=penalizes,
        fixed_weights=losses and balancer.fixed_weights,
        gives_weights=balancer.reads != "jacobian" or balancer.combines,
        scales_losses=balancer.scales_losses or inner is not None,
        columns_stay=balancer.reads == "jacobian" and bool(balancer.column_state),
        compares=balancer.compares and not (losses and balancer.fixed_weights),
        priorities=balancer.reads_priorities,
        draws=balancer.draws or (inner is not None and inner.draws),
        looks_ahead=_has(balancer, "look_ahead"),
        after_step=_has(balancer, "after_step", "exact") and balancer.exact,
        epochs=_has(balancer, "end_epoch"),
        scores=_has(balancer, "observe_scores"),
        inner=inner,
    )


def _has(balancer: Any, *names: str) -> bool:
    return all(hasattr(balancer, name) for name in names)
