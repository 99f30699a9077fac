"""Penalised norms: a loss balancer's total and its penalty on norms, differentiated together."""

from collections.abc import Sequence
from functools import reduce
from typing import cast

import torch
from torch import Tensor

from motet.balancing.engine.call import BackwardCall, advice
from motet.balancing.engine.graph import users, whole_graph
from motet.balancing.engine.norms import (
    NOTHING_SHARED,
    joined_norm_leaves,
    norm_leaves,
    norm_of,
    not_twice,
    twice_differentiable,
)
from motet.balancing.engine.result import BackwardResult
from motet.balancing.engine.solving import loss_weights, places
from motet.balancing.families import PenalizesNorms
from motet.balancing.solvers.solution import OK


def penalized_norms(call: BackwardCall) -> BackwardResult:
    """Minimise the total of a loss balancer plus its penalty on the norms.

    Norms are those of the scaled losses: only their ratios count.

    Returns:
        What was done.

    Raises:
        InputError: If part of the model cannot be differentiated twice; no gradient is written.
    """
    balancer = call.balancer
    more = [] if call.penalty is None else [call.penalty]
    several = call.processes.several
    if several:
        reached = call.leaves.every
    else:
        reached = list(whole_graph([*call.losses.values(), *more]).leaves)
    values = call.stacked()
    weights, total, status = loss_weights(call, values.detach())
    outputs, start = [values, *more], [weights * call.scale, *call.start(more)]
    leaves = _leaves(call) if status == OK else []
    if status == OK and not leaves:
        status = NOTHING_SHARED
    penalty = _penalty(call, leaves) if leaves else values.new_zeros(())
    if penalty.requires_grad:  # else no norm depends on a parameter
        outputs.append(penalty)
        start += call.start([penalty])
    trained = [place for place, output in enumerate(outputs) if output.requires_grad]
    if trained:  # else this process has no row
        outputs, start = [outputs[k] for k in trained], [start[k] for k in trained]
        with advice(), twice_differentiable(balancer):  # before anything is written
            gradients = torch.autograd.grad(outputs, reached, start, allow_unused=True)
        call.add_all(reached, gradients)
    call.average(shared=True)
    named = dict(zip(call.tasks, weights.unbind(), strict=True))
    total = total + penalty.detach()
    return call.result(weights=named, path="loss and norms", status=status, combined=total)


def _leaves(call: BackwardCall) -> list[Tensor]:
    if call.processes.several:
        return joined_norm_leaves(call)
    return norm_leaves(call.losses, call.balancer, call.shared)


_NO_DERIVATIVE = {"Error", "NotImplemented"}
"""Nodes in place of a formula that autograd lacks. It may skip them silently."""


def _penalty(call: BackwardCall, leaves: list[Tensor]) -> Tensor:
    """Return the penalty on the norms, with a graph that can be differentiated."""
    like = next(iter(call.losses.values())).detach()
    with advice(), twice_differentiable(call.balancer):
        found = [_with_graph(call, task, leaves) for task in call.tasks]
        if call.processes.several:  # values of all processes, this one's graph
            norms = torch.linalg.vector_norm(call.processes.mean(_rows(found, leaves)), dim=1)
        else:
            norms = torch.stack([norm_of(each, like) for each in found])
    present = torch.tensor(places(call.balancer, call.tasks), device=like.device)
    penalty = cast(PenalizesNorms, call.balancer).penalty(norms, present)
    nodes = users([penalty.grad_fn]) if penalty.requires_grad else ()
    if any(type(node).__name__ in _NO_DERIVATIVE for node in nodes):
        raise not_twice(call.balancer)
    return penalty


def _with_graph(call: BackwardCall, task: str, leaves: list[Tensor]) -> tuple[Tensor | None, ...]:
    loss = call.losses[task]
    if not loss.requires_grad:
        return (None,) * len(leaves)
    start = torch.full_like(loss, call.scale)
    return torch.autograd.grad(loss, leaves, start, create_graph=True, allow_unused=True)


def _rows(found: Sequence[tuple[Tensor | None, ...]], leaves: Sequence[Tensor]) -> Tensor:
    """Return gradients of tasks as rows (T', P), in float32 or wider."""
    dtype = reduce(torch.promote_types, [leaf.dtype for leaf in leaves], torch.float32)
    return torch.stack(
        [
            torch.cat([_flat(each, leaf).to(dtype) for each, leaf in zip(row, leaves, strict=True)])
            for row in found
        ]
    )


def _flat(gradient: Tensor | None, leaf: Tensor) -> Tensor:
    if gradient is None:
        return leaf.new_zeros(leaf.numel())
    return (gradient.to_dense() if gradient.is_sparse else gradient).flatten()
