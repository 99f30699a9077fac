"""What `Trainer.train_step` returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from motet.balancing import BackwardResult


@dataclass(frozen=True)
class StepResult:
    """What one training step did. Tensors stay on the device."""

    losses: dict[str, Tensor]
    gradient_norm: Tensor | None = None
    """Norm of the whole gradient, before clipping."""
    balanced: BackwardResult | None = None
    """What the balancer did; None if no task had a label."""
    penalty: Tensor | None = None
    """The regulariser of the sharing scheme, if it has one."""
    skipped: bool = False
    """Whether nothing was updated, as a loss or the gradient was not finite."""
    gradient_norms: Mapping[str, float] = field(default_factory=dict)
    """Norms of the tasks' gradients on the shared parameters, at the steps where they are known."""
