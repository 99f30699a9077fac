"""`motet.backward`: from several losses to one gradient, by way of a balancer.

``backward`` takes the place of ``sum(losses).backward()`` in any training loop. The engine is the
only code that uses autograd for a balancer.

A loss balancer costs one backward pass. A Gramian or Jacobian balancer needs the gradient of each
task on the shared parameters: T' vector-Jacobian products through the shared part, each task's own
part once, a buffer of T' x P numbers, and one transfer of T' x T' numbers to the CPU; less for wide
linear layers and small batches (`motet.balancing.engine.linear_layers`), and for embedding tables
(`motet.balancing.engine.embedding_tables`). The graph shows which leaves the losses reach, unless
``task_parameters`` lists them.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, distributed
from torch.amp.grad_scaler import GradScaler

from motet.balancing.engine.call import BackwardCall
from motet.balancing.engine.drawing import drawn_alike
from motet.balancing.engine.graph import place, walk
from motet.balancing.engine.hooks import run_hooks
from motet.balancing.engine.inputs import Shared, check_penalty, check_previous, named_losses
from motet.balancing.engine.joining import failing_together, joined_call
from motet.balancing.engine.leaves import checked_leaves
from motet.balancing.engine.precision import without_autocast
from motet.balancing.engine.refusals import check_call, check_lists, check_pass
from motet.balancing.engine.result import BackwardResult
from motet.balancing.engine.sharded_passes import averaged_passes
from motet.balancing.engine.shards import check_not_gathered, find_shards
from motet.balancing.engine.solving import differentiate_objective
from motet.balancing.engine.ways import ways
from motet.balancing.families import Balancer
from motet.balancing.families.uncompiled import uncompiled
from motet.problems import InputError, shown
from motet.processes import ALONE, Group


@uncompiled
@without_autocast
def backward(
    losses: Mapping[str, Tensor] | Sequence[Tensor],
    balancer: Balancer,
    shared: Shared | None = None,
    *,
    at: Literal["parameters", "representation"] = "parameters",
    representation: Tensor | Sequence[Tensor] | None = None,
    heads: Literal["plain", "weighted"] = "plain",
    task_parameters: Mapping[str, Shared] | None = None,
    penalty: Tensor | None = None,
    scaler: GradScaler | None = None,
    solve: bool = True,
    previous: BackwardResult | None = None,
    memory: Literal["normal", "low"] = "normal",
    gramian: Literal["auto", "rows", "layers"] = "auto",
    process_group: distributed.ProcessGroup | None = None,
) -> BackwardResult:
    """Add the balanced gradient of several losses to ``.grad``, as ``loss.backward()`` would.

    Shared parameters get the balancer's direction. Every other leaf that the losses reach gets the
    plain sum of the tasks' gradients, weighted for loss balancers, which weigh the losses
    themselves, and with ``heads="weighted"``. Post-accumulate hooks of a leaf, such as an optimizer
    in the backward pass, run once per call, when its ``.grad`` is final; with ``solve=False`` they
    wait for the call that solves.

    Args:
        losses: A scalar loss per task, by name, or in the order of ``balancer.tasks``. Tasks may be
            left out of a mapping; their state in the balancer stays as it is.
        balancer: What combines the losses or gradients.
        shared: Parameters to balance on, or the module that has them. If left out, all parameters
            that at least two losses reach. Loss balancers need none.
        at: Where gradients are compared: on the shared parameters, or at the representation, where
            one backward pass of the shared part serves all tasks. The second is another method, an
            upper bound of the first (Sener & Koltun, NeurIPS 2018, arXiv:1810.04650).
        representation: The tensors that the shared part passes to the tasks' own parts, with
            ``at="representation"``; found in the graph if left out.
        heads: What leaves that are not shared get.
        task_parameters: Parameters of each task alone, or the module that has them, if known. They
            save the walk of the graph, which is still made at some calls; what a list left out then
            gets its gradient, too.
        penalty: A scalar added after balancing, unweighted, such as a scheme's regulariser.
        scaler: The loss scaler of mixed precision. Gradients are unscaled in float32 before
            balancing, and ``.grad`` is left scaled, as ``scaler.step`` expects it.
        solve: With False, only the task gradients are computed and returned, to be added up over
            micro-batches by ``previous``.
        previous: Result of the micro-batch before, whose task gradients are added to these. Losses
            must be scaled so that they add up to those of the whole batch.
        memory: "low" computes the Gramian from a quarter of the parameters at a time, so that the
            buffer is a quarter as large, for about twice the time.
        gramian: How the Gramian is computed: "rows" from the gradient of every task, "layers" from
            the cotangents of linear layers and embedding tables, which gives the same without
            their T' weight gradients, and from rows for all other parameters; "auto" does so where
            that is cheaper, and uses one pass for tasks with separate rows in one batch
            (`motet.balancing.engine.ways.blocks`).
        process_group: Processes of torch.distributed that have the same parameters and rows of
            their own, such as ``torch.distributed.group.WORLD``. ``.grad`` becomes what one process
            with all rows would find, where the joined losses and gradients are the means over the
            processes, as in DistributedDataParallel: give W times the sum over this process's rows
            divided by the number of rows with labels on all W processes. ``shared`` and
            ``task_parameters`` must be given, alike on all processes; losses of tasks without rows
            here are left out, perhaps all. With micro-batches, processes exchange gradients only at
            the call that solves. Parameters of FSDP2 (``fully_shard``) bring their processes
            themselves; every process gives every loss then, also without a row
            (`motet.balancing.engine.ways.sharded`).

    Returns:
        What was done: weights, losses, Gramian, status.

    Raises:
        InputError: If a loss or the penalty is not scalar or has no graph, or a loss names an
            unknown task; if no loss reaches a shared parameter, or one is complex; if ``previous``
            is of another balancer; if options do not go together, or ``gramian="layers"`` finds no
            layer that can be read so, as under autocast or with recomputed states; if a balancer
            reads gradients while torch.distributed runs several processes, and no process_group is
            given; and with one if a list is missing, incomplete or another one elsewhere, or the
            call of another process failed.

    Example:
        >>> from motet.balancing import PCGrad
        >>> x = torch.tensor([2.0, 3.0], requires_grad=True)
        >>> result = backward({"a": x[0], "b": x[1] - x[0]}, PCGrad(["a", "b"]), shared=[x])
        >>> x.grad, result.cosines[0, 1]
        (tensor([0.5000, 1.5000]), tensor(-0.7071, dtype=torch.float64))
    """
    shards = None
    if shared is not None and distributed.is_available() and distributed.is_initialized():
        shards, shared, task_parameters = find_shards(shared, task_parameters, process_group)
    processes = ALONE if shards or process_group is None else _group(process_group)
    together = shards.processes if shards else processes
    several = together.several or shards is not None

    joins = shards is not None or (processes.several and solve)
    with failing_together(together, len(balancer.tasks)) if joins else nullcontext():
        check_pass(balancer, at=at, heads=heads, memory=memory, gramian=gramian)
        if previous is not None:
            check_previous(previous, balancer)
        if penalty is not None:
            check_penalty(penalty)
        named = named_losses(losses, balancer.tasks, complete=not several)
        given = None
        if several:
            check_lists(shared, task_parameters)
            assert shared is not None
            assert task_parameters is not None
            given = checked_leaves(named, penalty, balancer, shared, task_parameters)
            if shards is None:
                check_not_gathered(given.others, "`task_parameters`")
        device = (given.shared if given else list(named.values()))[0].device
        call = BackwardCall(
            losses=named,
            balancer=balancer,
            scale=1.0 if scaler is None else _scale(scaler, device),
            weighted=heads == "weighted" or balancer.needs.reads == "losses",
            shared=shared,
            task_parameters=task_parameters,
            at=at,
            representation=representation,
            memory=memory,
            gramian=gramian,
            penalty=penalty,
            solve=solve,
            previous=previous,
            waiting={} if previous is None else {id(leaf): leaf for leaf in previous.waiting},
            processes=processes,
            given=given,
            shards=shards,
        )
        check_call(call)
    if joins:
        call = joined_call(call, together)
    apart = penalty is not None and not (balancer.needs.reads == "losses" and call.whole)
    if apart:
        call = replace(call, keep_graph=True)
    draws = solve and together.several and balancer.needs.draws
    with drawn_alike(call, together) if draws else nullcontext():
        for way in ways(call):
            result = way(call)
            if result is not None:
                break
        assert result is not None
        if solve and balancer.needs.reads != "losses":
            differentiate_objective(call, result)
    if penalty is not None and apart:
        with averaged_passes(call):
            _add_penalty(call, penalty)
    if not solve:
        return replace(result, waiting=tuple(call.waiting.values()))
    if call.waiting:
        run_hooks(call.waiting.values())
    return result


def _group(group: distributed.ProcessGroup) -> Group:
    if not isinstance(group, distributed.ProcessGroup):
        raise InputError(
            f"process_group is {shown(group)}, expected one of torch.distributed, such as "
            "torch.distributed.group.WORLD"
        )
    return Group(group)


def _add_penalty(call: BackwardCall, penalty: Tensor) -> None:
    """Add the gradient of the penalty; hooks of leaves that it alone reaches run by themselves."""
    leaves = call.waiting.values() if call.solve else walk([place(penalty)]).leaves
    together = call.leaves.every if call.processes.several else list(leaves)
    call.minimise([penalty], call.start([penalty]), together)


def _scale(scaler: GradScaler, device: torch.device) -> float:
    """Return the scaler's factor; read by `scale`, without which it refuses to step later."""
    if not hasattr(scaler, "scale"):
        raise InputError(f"scaler is {shown(scaler)}, expected a torch.amp.GradScaler")
    return float(scaler.scale(torch.ones((), device=device)))  # a device sync
