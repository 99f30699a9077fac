"""Penalised norms: a loss balancer's total and its penalty on norms, differentiated together."""

from typing import cast

import torch
from torch import Tensor

from motet.balancing.engine.call import BackwardCall, advice, stacked
from motet.balancing.engine.graph import users, whole_graph
from motet.balancing.engine.norms import (
    NOTHING_SHARED,
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
    reached = list(whole_graph([*call.losses.values(), *more]).leaves)
    values = stacked(list(call.losses.values()))
    weights, total, status = loss_weights(call, values.detach())
    outputs, start = [values, *more], [weights * call.scale, *call.start(more)]
    leaves = norm_leaves(call.losses, balancer, call.shared) if status == OK else []
    if status == OK and not leaves:
        status = NOTHING_SHARED
    penalty = _penalty(call, leaves) if leaves else values.new_zeros(())
    if penalty.requires_grad:  # else no norm depends on a parameter
        outputs.append(penalty)
        start += call.start([penalty])
    with advice(), twice_differentiable(balancer):  # before anything is written
        gradients = torch.autograd.grad(outputs, reached, start, allow_unused=True)
    call.add_all(reached, gradients)
    named = dict(zip(call.tasks, weights.unbind(), strict=True))
    total = total + penalty.detach()
    return call.result(weights=named, path="loss and norms", status=status, combined=total)


_NO_DERIVATIVE = {"Error", "NotImplemented"}
"""Nodes in place of a formula that autograd lacks. It may skip them silently."""


def _penalty(call: BackwardCall, leaves: list[Tensor]) -> Tensor:
    """Return the penalty on the norms, with a graph that can be differentiated."""
    like = next(iter(call.losses.values())).detach()
    with advice(), twice_differentiable(call.balancer):
        norms = [norm_of(_with_graph(call, task, leaves), like) for task in call.tasks]
    present = torch.tensor(places(call.balancer, call.tasks), device=like.device)
    penalty = cast(PenalizesNorms, call.balancer).penalty(torch.stack(norms), present)
    nodes = users([penalty.grad_fn]) if penalty.requires_grad else ()
    if any(type(node).__name__ in _NO_DERIVATIVE for node in nodes):
        raise not_twice(call.balancer)
    return penalty


def _with_graph(call: BackwardCall, task: str, leaves: list[Tensor]) -> tuple[Tensor | None, ...]:
    loss = call.losses[task]
    start = torch.full_like(loss, call.scale)
    return torch.autograd.grad(loss, leaves, start, create_graph=True, allow_unused=True)
