"""One call of `motet.backward`: what it works on, and the backward passes it makes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from motet.balancing.engine.averaging import Averaging, taken
from motet.balancing.engine.grad import add_to_grad
from motet.balancing.engine.graph import REENTRANT, Place, edges
from motet.balancing.engine.hooks import held
from motet.balancing.engine.inputs import Shared, check_real
from motet.balancing.engine.leaves import Leaves, find_leaves
from motet.balancing.engine.result import BackwardResult
from motet.balancing.families import Balancer
from motet.problems import InputError
from motet.processes import Processes

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
class Shards:
    """Who holds parts of the shared parameters (`motet.balancing.engine.shards`)."""

    processes: Processes
    modules: tuple[Any, ...]
    """The modules of FSDP in ``shared``, if it is a module."""

    def keep_gathered(self, keep: bool) -> None:
        """Choose whether the next backward pass leaves parameters gathered, for another pass."""
        for module in self.modules:
            module.set_reshard_after_backward(not keep, recurse=False)


@dataclass(frozen=True)
class BackwardCall:
    """The losses, balancer and options of one call."""

    losses: dict[str, Tensor]
    """Those of this process. Where it lacks a task that others have, a zero without a graph."""
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
    shards: Shards | None = None
    """Who holds the shared parameters, if each process has a part of them."""
    begun: dict[str, Begun] = field(default_factory=dict)
    """Passes by task that a way began before it gave up; the next one continues them."""
    waiting: dict[int, Tensor] = field(default_factory=dict)
    """Leaves, by id, whose ``.grad`` was written and whose hooks are run at the end."""
    processes: Processes = field(default_factory=Processes)
    """Whose gradients are averaged."""
    given: Leaves | None = None
    """What the caller gave, of all tasks, where there are several processes."""
    joined: Tensor | None = None
    """The losses (T',) of all processes, where there are several."""
    in_pieces: bool = False
    """Whether some other process has micro-batches."""
    places: int = 0
    """Number of tensors in ``representation`` on processes that have losses, where several are."""
    above: dict[Any, list[Any]] = field(default_factory=dict)
    """The nodes that use each node, as far as ways walked the graph."""
    pending: dict[int, Tensor] = field(default_factory=dict)
    """Sums of gradients by leaf that wait to be averaged over the processes."""

    @cached_property
    def whole(self) -> bool:
        """Whether the losses are those of a whole batch, and not of a micro-batch."""
        return self.solve and self.previous is None and not self.in_pieces

    @property
    def shares_columns(self) -> bool:
        """Whether each process gets the sum over all of a share of the columns of rows."""
        reads = self.balancer.needs.reads
        return self.processes.several and self.at == "parameters" and reads != "jacobian"

    @property
    def own_waits(self) -> bool:
        """Whether gradients of the tasks' own leaves wait for the weights, or for others'."""
        alone = self.weighted or self.balancer.needs.scales_losses
        return alone or (self.processes.several and not self.whole)

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        return tuple(self.losses)

    @cached_property
    def leaves(self) -> Leaves:
        """The leaves that are balanced on, and those of each task alone."""
        if self.given is not None:
            return replace(self.given, own={task: self.given.own[task] for task in self.tasks})
        leaves = find_leaves(self.losses, self.balancer, self.shared, self.task_parameters)
        check_real(leaves.shared, "a shared parameter", self.balancer)
        return leaves

    def gradients(self, task: str, wanted: Wanted) -> tuple[Tensor | None, ...]:
        """Compute the scaled gradients of one task, None where it does not reach."""
        retain = self.keep_graph or task != self.tasks[-1]
        if task in self.begun:
            return self.begun[task].gradients(wanted, retain=retain)
        loss = self.losses[task]
        if not loss.requires_grad:
            return (None,) * len(wanted)
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
        """Add gradients, times a factor, to ``.grad`` of the leaves; None adds nothing.

        With several processes they wait for `average`.
        """
        for leaf, gradient in zip(leaves, gradients, strict=True):
            if gradient is None:
                continue
            scaled = gradient if factor is None else gradient * factor.to(gradient)
            if not self.processes.several:
                add_to_grad(leaf, scaled, self.waiting)
            elif id(leaf) not in self.pending:
                self.pending[id(leaf)] = scaled
            elif self.pending[id(leaf)].is_sparse:  # torch adds a sparse one to a dense one alone
                self.pending[id(leaf)] = scaled + self.pending[id(leaf)]
            else:
                self.pending[id(leaf)] = self.pending[id(leaf)] + scaled

    def average(self, *, shared: bool = False) -> None:
        """Average over processes what `add_all` found on the tasks' leaves, or all, and add it."""
        if not self.processes.several:
            return
        leaves = self.leaves.every if shared else self.leaves.others
        averaging = Averaging(leaves, self.processes)
        for leaf in leaves:
            averaging.add(leaf, self.pending.get(id(leaf)))
        for leaf, mean in averaging.means():
            add_to_grad(leaf, mean, self.waiting, owned=True)

    def minimise(
        self,
        outputs: Sequence[Tensor],
        start: Sequence[Tensor] | None,
        leaves: Sequence[Tensor] = (),
        *,
        also: Sequence[Tensor] = (),
        **options: Any,
    ) -> None:
        """Let autograd add to ``.grad``; the mean over the processes, where there are several.

        Args:
            outputs: What is differentiated.
            start: Gradients that the pass starts with.
            leaves: Leaves whose hooks wait for the end of the call; with several processes these
                are averaged, or else all of the call.
            also: Other leaves with gradients that are the same on all processes.
            **options: See `torch.autograd.backward`.
        """
        if not self.processes.several:
            self.accumulate(outputs, start, leaves, **options)
            return
        leaves = leaves or self.leaves.every
        averaging = Averaging(leaves, self.processes)
        here = [number for number, output in enumerate(outputs) if output.requires_grad]
        if here:
            with taken(averaging, leaves):
                found = gradients(
                    [outputs[number] for number in here],
                    [*leaves, *also],
                    None if start is None else [start[number] for number in here],
                    retain=options.get("retain_graph", False),
                )
            for leaf, gradient in zip(also, found[len(leaves) :], strict=True):
                if gradient is not None:
                    add_to_grad(leaf, gradient, self.waiting)
        for leaf, mean in averaging.means():
            add_to_grad(leaf, mean, self.waiting, owned=True)

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
        if self.joined is not None:
            return self.joined.clone()
        return stacked([loss.detach() for loss in self.losses.values()])

    def stacked(self) -> Tensor:
        """Stack the losses (T',) as `values` does, with the graph of this process."""
        found = stacked(list(self.losses.values()))
        return found if self.joined is None else self.joined + (found - found.detach())

    def result(self, **more: Any) -> BackwardResult:
        values = self.losses.values() if self.joined is None else self.joined.unbind()
        losses = {task: loss.detach() for task, loss in zip(self.tasks, values, strict=True)}
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


class advice:  # reads as a statement
    """Add advice to errors of autograd that a user meets here first."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, RuntimeError):
            return
        if _RECOMPUTED in str(error):
            raise InputError(REENTRANT) from None
        if serves_once(error):
            raise InputError(
                "a compiled module frees what several backward passes need, as it first ran before "
                "the balancer was created; create the balancer first, or call "
                "torch._dynamo.reset() after that, so that the module is compiled again"
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
