"""What one call of `backward` works on, and the autograd it needs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from motet.balancing.engine.grad import add_to_grad
from motet.balancing.engine.graph import REENTRANT
from motet.balancing.engine.hooks import held
from motet.balancing.engine.result import BackwardResult
from motet.balancing.families import Balancer
from motet.problems import InputError

Wanted = Sequence[Tensor] | Sequence[GradientEdge] | Sequence[Tensor | GradientEdge]
"""Places in a graph to take gradients at."""


@dataclass(frozen=True)
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
    gramian: str = "auto"
    """Whether linear layers are read as products: where that is cheaper, "rows", "layers"."""
    penalty: Tensor | None = None
    """What a loss balancer's one pass has to minimise too; other ways add it at the end."""
    waiting: dict[int, Tensor] = field(default_factory=dict)
    """Leaves, by id, whose ``.grad`` was written and whose hooks are to run at the end."""

    @property
    def own_waits(self) -> bool:
        """Whether gradients of the tasks' own leaves are to be weighted, once weights are known."""
        return self.weighted or self.balancer.scales_losses

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        return tuple(self.losses)

    def gradients(self, task: str, wanted: Wanted) -> tuple[Tensor | None, ...]:
        """Compute the scaled gradients of one task, None where it does not reach."""
        loss = self.losses[task]
        given = None if self.scale == 1 else [torch.full_like(loss, self.scale)]
        return gradients([loss], wanted, given, retain=self.keep_graph or task != self.tasks[-1])

    def begin(self, outputs: Sequence[Tensor]) -> list[Tensor]:
        """Return what a backward pass from scalars begins with."""
        return [torch.full_like(output, self.scale) for output in outputs]

    def add_all(
        self,
        leaves: Sequence[Tensor],
        gradients: Sequence[Tensor | None],
        factor: Tensor | None = None,
    ) -> None:
        """Add gradients, times a factor, to ``.grad`` of the leaves; None adds nothing."""
        for leaf, gradient in zip(leaves, gradients, strict=True):
            if gradient is not None:
                scaled = gradient if factor is None else gradient * factor.to(gradient)
                add_to_grad(leaf, scaled, self.waiting)

    def go_back(
        self,
        outputs: Sequence[Tensor],
        given: Sequence[Tensor] | None,
        leaves: Sequence[Tensor] = (),
        **options: Any,
    ) -> None:
        """Let autograd add to ``.grad``; hooks of ``leaves`` wait for the end of the call."""
        if not leaves:
            with advice():
                torch.autograd.backward(outputs, given, **options)
            return
        with advice(), held(leaves) as written:
            torch.autograd.backward(outputs, given, **options)
        self.waiting.update((id(leaf), leaf) for leaf in written)

    def values(self) -> Tensor:
        """Stack the losses (T',), without their graph, in float32 or better."""
        return stacked([loss.detach() for loss in self.losses.values()])

    def result(self, **more: Any) -> BackwardResult:
        losses = {task: loss.detach() for task, loss in self.losses.items()}
        return BackwardResult(**{"tasks": self.tasks, "losses": losses, **more})


def gradients(
    outputs: Wanted, wanted: Wanted, given: Sequence[Tensor] | None = None, *, retain: bool
) -> tuple[Tensor | None, ...]:
    """Compute gradients of ``outputs``, ``given`` theirs, at ``wanted``; None without a path."""
    if not wanted:
        return ()
    with advice():
        return torch.autograd.grad(  # tensors and edges may be mixed
            outputs,  # type: ignore[arg-type]
            wanted,  # type: ignore[arg-type]
            given,
            retain_graph=retain,
            allow_unused=True,
        )


@contextmanager
def advice() -> Iterator[None]:
    """Say what to do about errors of autograd that a user meets here first."""
    try:
        yield
    except RuntimeError as error:
        if _RECOMPUTED in str(error):
            raise InputError(REENTRANT) from None
        if not serves_once(error):
            raise
        raise InputError(
            "a compiled module frees what several backward passes need, as it first ran before the "
            "balancer was created; create the balancer first, or call torch._dynamo.reset() after "
            "that, so that the module is compiled anew"
        ) from None


_RECOMPUTED, _FREED = "checkpoint is incompatible", "donated buffer"


def serves_once(error: RuntimeError) -> bool:
    """Tell whether a graph serves but one backward pass, into ``.grad`` of all leaves."""
    return _RECOMPUTED in str(error) or _FREED in str(error)


def stacked(losses: list[Tensor]) -> Tensor:
    """Stack scalar losses (T',), in float32 or better."""
    dtypes = {loss.dtype for loss in losses}
    with torch.enable_grad():
        if dtypes == {torch.float32}:
            return torch.stack(losses)
        dtype = reduce(torch.promote_types, dtypes, torch.float32)
        return torch.stack([loss.to(dtype) for loss in losses])
