"""One call of `motet.backward`: what it works on, and the backward passes it makes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from motet.balancing.engine.grad import add_to_grad
from motet.balancing.engine.graph import REENTRANT, Place, edges
from motet.balancing.engine.hooks import held
from motet.balancing.engine.inputs import Shared, check_real
from motet.balancing.engine.leaves import Leaves, find_leaves
from motet.balancing.engine.result import BackwardResult
from motet.balancing.families import Balancer
from motet.problems import InputError

Wanted = Sequence[Tensor] | Sequence[GradientEdge] | Sequence[Tensor | GradientEdge]
"""Places in a graph at which gradients are computed."""


@dataclass(frozen=True)
class Begun:
    """The pass of one task, which a way made up to some place before it gave up."""

    place: Place
    cotangent: Tensor
    own: dict[int, Tensor | None]
    """Gradients of the task's own leaves, by their id, which all lie before that place."""

    def gradients(self, wanted: "Wanted", *, retain: bool) -> tuple[Tensor | None, ...]:
        """Compute the gradients that are not known yet."""
        rest = [each for each in wanted if id(each) not in self.own]
        found = iter(gradients_behind([self.place], rest, [self.cotangent], retain=retain))
        return tuple(self.own[id(each)] if id(each) in self.own else next(found) for each in wanted)


@dataclass(frozen=True)
class BackwardCall:
    """The losses, balancer and options of one call."""

    losses: dict[str, Tensor]
    balancer: Balancer
    scale: float = 1.0
    """The loss scaler's factor."""
    weighted: bool = False
    """Whether leaves that are not shared get weighted gradients."""
    keep_graph: bool = False
    """Whether the graph is needed after the last task."""
    shared: Shared | None = None
    """What the caller gave as shared parameters."""
    task_parameters: Mapping[str, Shared] | None = None
    """What the caller gave as parameters of each task alone."""
    at: str = "parameters"
    representation: Tensor | Sequence[Tensor] | None = None
    memory: str = "normal"
    gramian: str = "auto"
    penalty: Tensor | None = None
    """What the one pass of a loss balancer minimises too; other ways add it at the end."""
    solve: bool = True
    """Whether the task gradients are combined, or returned for the next micro-batch."""
    previous: BackwardResult | None = None
    """Result of the micro-batch before."""
    begun: dict[str, Begun] = field(default_factory=dict)
    """Passes by task that a way began before it gave up; the next one continues them."""
    waiting: dict[int, Tensor] = field(default_factory=dict)
    """Leaves, by id, whose ``.grad`` was written and whose hooks are run at the end."""

    @cached_property
    def whole(self) -> bool:
        """Whether the losses are those of a whole batch, and not of a micro-batch."""
        return self.solve and self.previous is None

    @property
    def own_waits(self) -> bool:
        """Whether gradients of the tasks' own leaves are weighted, once weights are known."""
        return self.weighted or self.balancer.needs.scales_losses

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        return tuple(self.losses)

    @cached_property
    def leaves(self) -> Leaves:
        """The leaves that are balanced on, and those of each task alone."""
        leaves = find_leaves(self.losses, self.balancer, self.shared, self.task_parameters)
        check_real(leaves.shared, "a shared parameter", self.balancer)
        return leaves

    def gradients(self, task: str, wanted: Wanted) -> tuple[Tensor | None, ...]:
        """Compute the scaled gradients of one task, None where it does not reach."""
        retain = self.keep_graph or task != self.tasks[-1]
        if task in self.begun:
            return self.begun[task].gradients(wanted, retain=retain)
        loss = self.losses[task]
        start = None if self.scale == 1 else [torch.full_like(loss, self.scale)]
        return gradients([loss], wanted, start, retain=retain)

    def start(self, outputs: Sequence[Tensor]) -> list[Tensor]:
        """Return the gradients that a backward pass from scalars starts with."""
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

    def accumulate(
        self,
        outputs: Sequence[Tensor],
        start: Sequence[Tensor] | None,
        leaves: Sequence[Tensor] = (),
        **options: Any,
    ) -> None:
        """Let autograd add to ``.grad``; hooks of ``leaves`` wait for the end of the call."""
        if not leaves:
            with advice():
                torch.autograd.backward(outputs, start, **options)
            return
        with advice(), held(leaves) as written:
            torch.autograd.backward(outputs, start, **options)
        self.waiting.update((id(leaf), leaf) for leaf in written)

    def values(self) -> Tensor:
        """Stack the losses (T',), without their graph, in float32 or wider."""
        return stacked([loss.detach() for loss in self.losses.values()])

    def result(self, **more: Any) -> BackwardResult:
        losses = {task: loss.detach() for task, loss in self.losses.items()}
        return BackwardResult(**{"tasks": self.tasks, "losses": losses, **more})


def gradients(
    outputs: Wanted, wanted: Wanted, start: Sequence[Tensor] | None = None, *, retain: bool
) -> tuple[Tensor | None, ...]:
    """Compute gradients at ``wanted`` from those of ``outputs``, ``start``; None without a path."""
    if not wanted:
        return ()
    with advice():
        return torch.autograd.grad(  # tensors and edges may be mixed
            outputs,  # type: ignore[arg-type]
            wanted,  # type: ignore[arg-type]
            start,
            retain_graph=retain,
            allow_unused=True,
        )


def gradients_behind(
    places: Sequence[Place], wanted: Wanted, found: Sequence[Tensor], *, retain: bool
) -> tuple[Tensor | None, ...]:
    """Compute gradients from those found at some places, where hooks of tensors acted already."""
    undo = [
        node.register_prehook(
            lambda given, number=number, each=each: (*given[:number], each, *given[number + 1 :])
        )
        for (node, number), each in zip(places, found, strict=True)
    ]
    try:
        return gradients(edges(places), wanted, found, retain=retain)
    finally:
        for hook in undo:
            hook.remove()


@contextmanager
def advice() -> Iterator[None]:
    """Add advice to errors of autograd that a user meets here first."""
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
            "that, so that the module is compiled again"
        ) from None


_RECOMPUTED, _FREED = "checkpoint is incompatible", "donated buffer"


def serves_once(error: RuntimeError) -> bool:
    """Return whether a graph supports only one backward pass, into ``.grad`` of all leaves."""
    return _RECOMPUTED in str(error) or _FREED in str(error)


def stacked(losses: list[Tensor]) -> Tensor:
    """Stack scalar losses (T',), in float32 or wider."""
    dtypes = {loss.dtype for loss in losses}
    with torch.enable_grad():
        if dtypes == {torch.float32}:
            return torch.stack(losses)
        dtype = reduce(torch.promote_types, dtypes, torch.float32)
        return torch.stack([loss.to(dtype) for loss in losses])
