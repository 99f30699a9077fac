"""Norms of the tasks' gradients on the last shared layer, for loss balancers that look at them.

Each norm costs a pass through the task's own part down to that layer, with ``layer="all"`` through
all of the shared part; those that are differentiated, a second one through all of it. Which layer
is the last is read off the graph, in a walk or two at a microsecond or two per node.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor

from motet.balancing.engine.call import Call, advice, stacked
from motet.balancing.engine.graph import HIDDEN, is_compiled, is_leaf, place, users, whole_graph
from motet.balancing.engine.inputs import Shared
from motet.balancing.engine.leaves import common_leaves, listed
from motet.balancing.engine.paths import one_pass
from motet.balancing.engine.result import BackwardResult
from motet.balancing.engine.solving import loss_weights, places, tell_norms
from motet.balancing.families import Balancer, PenalizesNorms
from motet.balancing.solvers.solution import OK
from motet.problems import InputError

NOTHING_SHARED = "no norms, as the losses have no parameter in common"


def observed_pass(call: Call, shared: Shared | None) -> BackwardResult:
    """Let a loss balancer combine the losses, and tell it the norms of the gradients."""
    asked = call.balancer.needs.norms
    assert asked is not None
    layer = norm_leaves(call, shared, asked)
    if not layer:
        result = one_pass(call)
        return replace(result, status=NOTHING_SHARED) if result.status == OK else result
    kept = replace(call, keep_graph=True)
    values = stacked(list(call.losses.values()))
    plain = values.detach().clone()
    norms = [norm_of(kept.gradients(task, layer), plain) for task in call.tasks]
    weights, total, status = loss_weights(call, values)
    if status == OK:
        lengths = torch.stack(norms).to(plain) / call.scale
        tell_norms(call.balancer, lengths, plain, call.tasks)
    named = dict(zip(call.tasks, weights.unbind(), strict=True))
    return call.result(weights=named, path="loss and norms", status=status, combined=total)


def penalized_pass(call: Call, shared: Shared | None) -> BackwardResult:
    """Minimise what a loss balancer makes of the losses, plus its penalty on the norms.

    Norms are taken from the scaled losses: only their ratios count.

    Returns:
        What was done.

    Raises:
        InputError: If part of the model cannot be differentiated twice; no gradient is written.
    """
    balancer = call.balancer
    asked = balancer.needs.norms
    assert asked is not None
    more = [] if call.penalty is None else [call.penalty]
    reached = list(whole_graph([*call.losses.values(), *more]).leaves)
    values = stacked(list(call.losses.values()))
    weights, total, status = loss_weights(call, values.detach())
    outputs, given = [values, *more], [weights * call.scale, *call.begin(more)]
    layer = norm_leaves(call, shared, asked) if status == OK else []
    if status == OK and not layer:
        status = NOTHING_SHARED
    penalty = _penalty(call, layer) if layer else values.new_zeros(())
    if penalty.requires_grad:  # else no norm depends on a parameter
        outputs.append(penalty)
        given += call.begin([penalty])
    with advice(), twice_differentiable(balancer):  # before anything is written
        gradients = torch.autograd.grad(outputs, reached, given, allow_unused=True)
    call.add_all(reached, gradients)
    named = dict(zip(call.tasks, weights.unbind(), strict=True))
    total = total + penalty.detach()
    return call.result(weights=named, path="loss and norms", status=status, combined=total)


def _penalty(call: Call, layer: list[Tensor]) -> Tensor:
    """Return the penalty on the norms, with a graph that can be gone back through."""
    like = next(iter(call.losses.values())).detach()
    with advice(), twice_differentiable(call.balancer):
        norms = [norm_of(_with_graph(call, task, layer), like) for task in call.tasks]
    present = torch.tensor(places(call.balancer, call.tasks), device=like.device)
    penalty = cast(PenalizesNorms, call.balancer).penalty(torch.stack(norms), present)
    nodes = users([penalty.grad_fn]) if penalty.requires_grad else ()
    if any(type(node).__name__ in _NO_DERIVATIVE for node in nodes):
        raise InputError(_not_twice(call.balancer))
    return penalty


def norm_leaves(call: Call, shared: Shared | None, layer: str) -> list[Tensor]:
    """List the leaves that norms are taken on.

    The last layer are the weights with no other shared weight between them and the losses, and the
    biases used together with them. A weight has at least two axes; scales of norms have one.

    Returns:
        The leaves; none if no two losses reach a common one.

    Raises:
        InputError: If none of those is in ``shared``.
    """
    roots = [place(loss)[0] for loss in call.losses.values()]
    graph = whole_graph(call.losses.values())
    if graph.hidden and shared is None:
        raise InputError(f"{HIDDEN}; give shared=, or compile the shared part alone")
    reached = graph.leaves
    common = {leaf: reached[leaf] for leaf in common_leaves(reached)}
    if len(roots) == 1:
        common = reached
    if shared is not None:
        asked = {id(leaf) for leaf in listed(shared)}
        common = {leaf: tasks for leaf, tasks in common.items() if id(leaf) in asked}
        if not common:
            raise InputError(
                f"{type(call.balancer).__name__} compares gradients where tasks meet, but no two "
                "losses reach the same parameter in `shared`; check it, or leave it out"
            )
    return list(common) if layer == "all" else _last_layer(call.balancer, roots, common)


def _last_layer(balancer: Balancer, roots: list[Any], common: Mapping[Tensor, int]) -> list[Tensor]:
    above = users(roots)
    uses = {
        node.variable: _operations(node, above)
        for node in above
        if is_leaf(node) and node.variable in common
    }
    weights = [leaf for leaf in uses if leaf.dim() > 1] or list(uses)
    behind = _behind({operation for weight in weights for operation in uses[weight]})
    last = {operation for weight in weights for operation in uses[weight] - behind}
    found = [leaf for leaf, operations in uses.items() if operations & last]
    if any(map(is_compiled, last)) and sum(leaf.dim() > 1 for leaf in found) > 1:
        raise InputError(
            f"{type(balancer).__name__} takes norms on the last shared layer, and a compiled "
            'module does not show which that is; create it with layer="all", and for one layer '
            "give its parameters as shared="
        )
    return found


_SAME = {"TBackward0", "TransposeBackward0", "PermuteBackward0", "ViewBackward0", "ToCopyBackward0"}
"""Nodes that only show a weight in another form."""


def _operations(leaf: Any, above: Mapping[Any, list[Any]]) -> set[Any]:
    """Return the operations that a leaf takes part in."""
    found: set[Any] = set()
    waiting = [leaf]
    while waiting:
        for user in above[waiting.pop()]:
            (waiting.append if type(user).__name__ in _SAME else found.add)(user)
    return found


def _behind(operations: set[Any]) -> set[Any]:
    """Return those of some operations whose outputs reach the losses only through others."""
    waiting, seen = list(operations), set()
    while waiting:
        for child, _ in waiting.pop().next_functions:
            if child is not None and child not in seen:
                seen.add(child)
                waiting.append(child)
    return operations & seen


def _with_graph(call: Call, task: str, layer: list[Tensor]) -> tuple[Tensor | None, ...]:
    loss = call.losses[task]
    given = torch.full_like(loss, call.scale)
    return torch.autograd.grad(loss, layer, given, create_graph=True, allow_unused=True)


def norm_of(gradients: tuple[Tensor | None, ...], like: Tensor) -> Tensor:
    """Return the length of a gradient, in float32 or better; 0 has derivative 0."""
    found = [each for each in gradients if each is not None]
    dense = [each.coalesce().values() if each.is_sparse else each for each in found]
    parts = [
        torch.linalg.vector_norm(each.to(torch.promote_types(each.dtype, torch.float32)))
        for each in dense
    ]
    return torch.linalg.vector_norm(torch.stack(parts)) if parts else like.new_zeros(())


_NO_DERIVATIVE = {"Error", "NotImplemented"}
"""Nodes that stand where autograd has no formula. It may pass them over without a word."""


@contextmanager
def twice_differentiable(balancer: Balancer) -> Iterator[None]:
    """Say what to do where an operation has no second derivative and autograd complains."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        if not any(sign in reason.lower() for sign in ("twice", "double back", "derivative for")):
            raise
        raise InputError(_not_twice(balancer, f" ({reason})")) from None


def _not_twice(balancer: Balancer, reason: str = "") -> str:
    return (
        f"{type(balancer).__name__} differentiates gradients, and part of the model cannot be "
        f"differentiated twice{reason}. Leave torch.compile out; for attention, "
        "sdpa_kernel(SDPBackend.MATH) helps; for an "
        "RNN on a GPU, torch.backends.cudnn.flags(enabled=False); or use a balancer without "
        "second derivatives, such as `gradnorm`"
    )
