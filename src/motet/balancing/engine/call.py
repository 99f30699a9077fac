"""What one call of `backward` works on, and the autograd it needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from motet.balancing.base import Balancer
from motet.balancing.engine.result import BackwardResult
from motet.balancing.engine.rows import add_to_grad
from motet.problems import InputError

Wanted = Sequence[Tensor] | Sequence[Tensor | GradientEdge]
"""Places in a graph to take gradients at."""


@dataclass
class Call:
    """What one call works on."""

    losses: dict[str, Tensor]
    balancer: Balancer
    scale: float
    """The loss scaler's factor."""
    weighted: bool
    """Whether leaves that are not shared get weighted gradients."""
    keep_graph: bool
    """Whether the graph is needed after the last task."""

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(self.losses)

    def gradients(self, task: str, wanted: Wanted) -> tuple[Tensor | None, ...]:
        """Compute the scaled gradients of one task, None where it does not reach."""
        if not wanted:
            return ()
        loss = self.losses[task] if self.scale == 1 else self.losses[task] * self.scale
        return gradients([loss], wanted, retain=self.keep_graph or task != self.tasks[-1])

    def result(self, **more: Any) -> BackwardResult:
        losses = {task: loss.detach() for task, loss in self.losses.items()}
        return BackwardResult(**{"tasks": self.tasks, "losses": losses, **more})


def gradients(
    outputs: Wanted, wanted: Wanted, given: Sequence[Tensor] | None = None, *, retain: bool
) -> tuple[Tensor | None, ...]:
    """Compute gradients of ``outputs`` at ``wanted``, None where they do not reach."""
    try:
        return torch.autograd.grad(  # tensors and edges may be mixed
            outputs,  # type: ignore[arg-type]
            wanted,  # type: ignore[arg-type]
            given,
            retain_graph=retain,
            allow_unused=True,
        )
    except RuntimeError as error:
        if "donated buffer" not in str(error):
            raise
        raise InputError(
            "a compiled module frees what several backward passes need; set "
            "torch._functorch.config.donated_buffer = False before it is compiled"
        ) from None


def add_all(
    leaves: Sequence[Tensor],
    gradients: Sequence[Tensor | None],
    factor: Tensor | None = None,
) -> None:
    """Add gradients, times a factor, to ``.grad`` of the leaves."""
    for leaf, gradient in zip(leaves, gradients, strict=True):
        if gradient is not None:
            add_to_grad(leaf, gradient if factor is None else gradient * factor.to(gradient))


def stacked(losses: Sequence[Tensor]) -> Tensor:
    """Stack scalar losses (T',), in float32 or better."""
    dtype = torch.float32
    for loss in losses:
        dtype = torch.promote_types(dtype, loss.dtype)
    return torch.stack([loss.to(dtype) for loss in losses])
