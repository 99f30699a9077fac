"""The backward pass on behalf of a balancer: from several losses to one gradient.

``backward`` takes the place of ``sum(losses).backward()`` in any training loop. It is the only code
that touches autograd for a balancer.

A loss balancer costs one backward pass. A Gramian or Jacobian balancer needs the gradient of each
task on the shared parameters: T' vector-Jacobian products through the shared part, each task's own
part once, a buffer of T' x P numbers, and one transfer of T' x T' numbers to the CPU; less for wide
linear layers and small batches (`motet.balancing.engine.layers`). Which leaves the losses reach is
read off the graph, unless ``task_parameters`` tells.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, distributed
from torch.amp.grad_scaler import GradScaler

from motet.balancing.engine.blocks import by_blocks
from motet.balancing.engine.call import Call
from motet.balancing.engine.graph import place, walk
from motet.balancing.engine.hooks import run_hooks
from motet.balancing.engine.inputs import (
    Shared,
    check_penalty,
    check_previous,
    check_real,
    named_losses,
)
from motet.balancing.engine.leaves import find_leaves
from motet.balancing.engine.norms import observed_pass, penalized_pass
from motet.balancing.engine.passes import check_pass
from motet.balancing.engine.paths import (
    by_rows,
    in_pieces,
    kept_weights,
    one_pass,
    with_weights,
)
from motet.balancing.engine.precision import without_autocast
from motet.balancing.engine.representation import at_representation
from motet.balancing.engine.result import BackwardResult
from motet.balancing.engine.solving import teach
from motet.balancing.families import Balancer
from motet.balancing.families.uncompiled import uncompiled
from motet.problems import InputError


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
        representation: What the shared part hands to the tasks' own parts, with
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
        gramian: How the Gramian is found: "rows" from the gradient of every task, "layers" from the
            cotangents of linear layers, which gives the same without their T' weight gradients,
            and from rows for all else; "auto" reads those layers so where that is cheaper,
            and takes one pass for tasks with rows of their own in one batch
            (`motet.balancing.engine.blocks`).

    Returns:
        What was done: weights, losses, Gramian, status.

    Raises:
        InputError: If a loss or the penalty is not scalar or has no graph, or a loss names no task;
            if no loss reaches a shared parameter, or one is complex; if ``previous`` is of another
            balancer; if options do not go together, or ``gramian="layers"`` finds no layer
            that can be read so, as under autocast or with recomputed states; or if a balancer reads
            gradients while torch.distributed runs several processes, which is not supported yet.

    Example:
        >>> from motet.balancing import PCGrad
        >>> x = torch.tensor([2.0, 3.0], requires_grad=True)
        >>> result = backward({"a": x[0], "b": x[1] - x[0]}, PCGrad(["a", "b"]), shared=[x])
        >>> x.grad, result.cosines[0, 1]
        (tensor([0.5000, 1.5000]), tensor(-0.7071, dtype=torch.float64))
    """
    check_pass(balancer, at=at, heads=heads, memory=memory, gramian=gramian)
    _refuse_processes(balancer)
    partial = not solve or previous is not None
    _refuse(balancer, at, representation, memory, gramian, partial=partial)
    if previous is not None:
        check_previous(previous, balancer)
    if penalty is not None:
        check_penalty(penalty)
    named = named_losses(losses, balancer.tasks)
    needs = balancer.needs
    together = needs.reads == "losses" and not partial
    call = Call(
        losses=named,
        balancer=balancer,
        scale=1.0 if scaler is None else _scale(scaler, next(iter(named.values())).device),
        weighted=heads == "weighted" or needs.reads == "losses",
        keep_graph=penalty is not None and not together,
        gramian=gramian,
        penalty=penalty if together else None,
        waiting={} if previous is None else {id(leaf): leaf for leaf in previous.waiting},
    )
    if together and needs.penalizes_norms:
        result = penalized_pass(call, shared)
    elif together and needs.norms:
        result = observed_pass(call, shared)
    elif together:
        result = one_pass(call)
    elif at == "representation":
        result = at_representation(call, shared, representation)
    else:
        leaves = find_leaves(call, shared, task_parameters)
        check_real(leaves.shared, "a shared parameter", balancer)
        weights = kept_weights(call) if not partial and needs.reads == "gramian" else None
        if weights is not None:
            result = with_weights(call, leaves, weights)
        elif memory == "low":
            result = in_pieces(call, leaves)
        else:
            apart = not partial and gramian == "auto" and needs.reads == "gramian"
            blocks = by_blocks(call, leaves) if apart else None
            result = blocks or by_rows(call, leaves, solve=solve, previous=previous)
    if solve and needs.reads != "losses":
        teach(call, result)
    if penalty is not None and not together:
        _add_penalty(call, penalty, solve=solve)
    if not solve:
        return replace(result, waiting=tuple(call.waiting.values()))
    if call.waiting:
        run_hooks(call.waiting.values())
    return result


def _add_penalty(call: Call, penalty: Tensor, *, solve: bool) -> None:
    """Go back from the penalty; hooks of leaves that it alone reaches run by themselves."""
    leaves = call.waiting.values() if solve else walk([place(penalty)]).leaves
    call.go_back([penalty], call.begin([penalty]), list(leaves))


def _scale(scaler: GradScaler, device: torch.device) -> float:
    """Return the scaler's factor; asked by `scale`, without which it refuses to step later."""
    return float(scaler.scale(torch.ones((), device=device)))  # a device sync


def _refuse_processes(balancer: Balancer) -> None:
    """Refuse what would let replicas drift apart: autograd.grad goes past hooks that average."""
    if not distributed.is_available() or not distributed.is_initialized():
        return
    if balancer.needs.reads == "losses" and not balancer.needs.penalizes_norms:
        return  # what DDP averages is all there is
    if (count := distributed.get_world_size()) > 1:
        raise InputError(
            f"torch.distributed runs {count} processes, but {type(balancer).__name__} reads "
            "gradients, and several processes are not supported yet: each would balance those of "
            "its own rows, and nothing would average them. Run one process, or use a balancer that "
            "reads only losses, such as `equal`"
        )


def _refuse(
    balancer: Balancer, at: str, representation: object, memory: str, gramian: str, *, partial: bool
) -> None:
    """Refuse options of one call that do not go together."""
    name = type(balancer).__name__
    if representation is not None and at == "parameters":
        raise InputError('representation is read only with at="representation"; remove one')
    if partial and balancer.needs.penalizes_norms:
        raise InputError(
            f"{name} needs the whole batch at once: norms of gradients do not add up over "
            "micro-batches; leave solve=False and previous= out"
        )
    if partial and balancer.needs.norms == "last":
        raise InputError(
            f"over micro-batches {name} reads norms on all of `shared`; create it with "
            'layer="all", and give the parameters of the last shared layer as `shared`'
        )
    if partial and (at == "representation" or memory == "low"):
        raise InputError(
            "solve=False and previous= add up task gradients on the parameters; they do not go "
            'with at="representation" or memory="low"'
        )
    if partial and gramian == "layers":
        raise InputError(
            'solve=False and previous= add up rows, and gramian="layers" makes none; remove gramian'
        )
