"""Ways to compute gradients on the parameters: one pass, a row per task, or piece by piece."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from motet.balancing.engine import workspace
from motet.balancing.engine.call import Call, stacked
from motet.balancing.engine.grad import add_to_grad
from motet.balancing.engine.layers import cotangents, linear_layers
from motet.balancing.engine.leaves import Leaves, unique
from motet.balancing.engine.result import BackwardResult
from motet.balancing.engine.rows import Rows, components
from motet.balancing.engine.solving import (
    Solved,
    balance,
    loss_weights,
    own_weights,
    places,
    solved_result,
    weigh,
)
from motet.balancing.families import GramianBalancer
from motet.problems import InputError


def one_pass(call: Call) -> BackwardResult:
    """Let a loss balancer combine the losses; its weights are d total / d losses."""
    values = stacked(list(call.losses.values()))
    weights, total, status = loss_weights(call, values)
    named = dict(zip(call.tasks, weights.unbind(), strict=True))
    return call.result(weights=named, path="loss", status=status, combined=total)


def by_rows(
    call: Call, leaves: Leaves, *, solve: bool, previous: BackwardResult | None
) -> BackwardResult:
    """Compute the gradient of each task on the shared leaves, and combine them."""
    gramian = call.balancer.needs.reads == "gramian" and solve and previous is None
    layers = []
    if gramian and call.gramian != "rows":
        cheaper = call.gramian == "auto"
        layers = linear_layers(call.losses.values(), leaves.shared, cheaper=cheaper)
        if not (layers or cheaper):
            raise InputError(
                'gramian="layers" has no effect: no linear layer can be read as a product, as '
                "bfloat16, recomputed states (checkpointing), hooks, or other kinds of layers "
                "stand in the way; remove gramian"
            )
    inside = {id(leaf) for layer in layers for leaf in layer.leaves}
    outside = [leaf for leaf in leaves.shared if id(leaf) not in inside]
    rows = Rows(outside, call.tasks, workspace.lend(call.balancer), layers)
    memory = rows.memory
    if previous is not None:
        _check_same(call, leaves, rows, previous)
    own: list[tuple[str, Tensor, Tensor]] = []
    for place, task in enumerate(call.tasks):
        if call.own_waits:
            pairs = zip(leaves.own[task], _row(call, rows, place, leaves.own[task]), strict=True)
            own += [(task, leaf, gradient) for leaf, gradient in pairs if gradient is not None]
        else:
            call.add_all(leaves.own[task], _row(call, rows, place, leaves.own[task]))
    if previous is not None:
        call, rows, own = _added(call, rows, own, previous)
    if not solve:
        return call.result(
            weights=None, path="rows", rows=rows, own=tuple(own), balancer=call.balancer
        )
    solved = balance(call, rows)
    direction = solved.direction if call.scale == 1 else solved.direction * call.scale
    for leaf, gradient in rows.gradients(direction):
        add_to_grad(leaf, gradient, call.waiting, owned=True)
    if own:
        found = own_weights(call, solved.weights)
        assert found is not None
        weights = dict(zip(call.tasks, found, strict=True))
        for task, leaf, gradient in own:
            call.add_all([leaf], [gradient], weights[task])
    workspace.give_back(call.balancer, memory)
    return solved_result(call, solved, "layers" if layers else "rows")


def _row(call: Call, rows: Rows, place: int, own: Sequence[Tensor]) -> tuple[Tensor | None, ...]:
    """Write the gradient of one task, and let go of it while its memory is in the cache.

    Returns:
        The gradient on the task's own leaves.
    """
    edges = [edge for layer in rows.layers for edge in layer.edges]
    wanted: list[Tensor | GradientEdge] = [*rows.leaves, *edges, *own]
    with cotangents([edge.node for edge in edges]) as seen:
        found = call.gradients(call.tasks[place], wanted)
    count = len(rows.leaves)
    uses = iter([seen.get(k, found[count + k]) for k in range(len(edges))])
    products = [layer.joined([next(uses) for _ in layer.uses]) for layer in rows.layers]
    rows.fill(place, [*found[:count], *products], 1 / call.scale)
    return found[count + len(edges) :]


def _check_same(call: Call, leaves: Leaves, rows: Rows, previous: BackwardResult) -> None:
    """Refuse task gradients of a micro-batch before that are not of the same leaves."""
    assert previous.rows is not None
    if not (leaves.told or call.own_waits or rows.same_leaves(previous.rows)):
        raise InputError(
            "the graphs of two micro-batches disagree on what is shared, as different tasks are "
            "in them; give shared="
        )


def _added(
    call: Call, rows: Rows, own: list[tuple[str, Tensor, Tensor]], previous: BackwardResult
) -> tuple[Call, Rows, list[tuple[str, Tensor, Tensor]]]:
    """Add the losses and gradients of the micro-batch before."""
    assert previous.rows is not None
    rows = rows.plus(previous.rows, call.balancer.tasks)
    now = {task: loss.detach() for task, loss in call.losses.items()}
    losses = {
        task: sum(
            (part[task] for part in (previous.losses, now) if task in part), torch.tensor(0.0)
        )
        for task in rows.tasks
    }
    return replace(call, losses=losses), rows, [*previous.own, *own]


def kept_weights(call: Call) -> Tensor | None:
    """Return weights (T',) that a Gramian balancer keeps for this step (``every``), if any."""
    assert isinstance(call.balancer, GramianBalancer)
    return call.balancer.reuse(torch.tensor(places(call.balancer, call.tasks)))


def with_weights(call: Call, leaves: Leaves, weights: Tensor) -> BackwardResult:
    """Go back once through the shared part, with weights that are known already."""
    others = unique(leaf for task in call.tasks for leaf in leaves.own[task])
    _go_back(call, leaves.shared, others, weights)
    named = dict(zip(call.tasks, weights.unbind(), strict=True))
    return call.result(weights=named, path="kept weights")


def _go_back(
    call: Call, shared: Sequence[Tensor], others: Sequence[Tensor], weights: Tensor
) -> None:
    """Go back once from the weighted losses, and once more for the tasks' own leaves if need be."""
    values = stacked(list(call.losses.values()))
    factors = weights.to(values) * call.scale
    own = own_weights(call, weights)
    own = torch.ones_like(factors) if own is None else own.to(values)
    together = [*shared, *others] if call.weighted else shared
    apart = [] if call.weighted else others
    retain = call.keep_graph or bool(apart)
    call.go_back([values], [factors], together, retain_graph=retain, inputs=together)
    if apart:
        factors = own * call.scale
        call.go_back([values], [factors], apart, retain_graph=call.keep_graph, inputs=apart)


_PIECES = 4


def in_pieces(call: Call, leaves: Leaves) -> BackwardResult:
    """Add up the Gramian over pieces of the shared leaves, then go back once with the weights."""
    kept = replace(call, keep_graph=True)
    gramian: Tensor | None = None
    reached: list[list[bool]] = [[] for _ in call.tasks]
    memory = workspace.lend(call.balancer)
    for number, piece in enumerate(_pieces(leaves.shared)):
        rows = Rows(piece, call.tasks, memory)
        for place, task in enumerate(call.tasks):
            own = leaves.own[task] if number == 0 and not call.own_waits else []
            call.add_all(own, _row(kept, rows, place, own))
            reached[place] += rows.reached[place]
        gramian = rows.gramian() if gramian is None else gramian + rows.gramian()
        memory = rows.memory
    assert gramian is not None
    assert memory is not None
    workspace.give_back(call.balancer, memory)
    groups = components(reached)
    weights, inner, status = weigh(call, gramian, call.values(), groups)
    waiting = [leaf for task in call.tasks for leaf in leaves.own[task]] if call.own_waits else []
    _go_back(call, leaves.shared, unique(waiting), weights)
    named = tuple(tuple(call.tasks[place] for place in group) for group in groups)
    return solved_result(call, Solved(weights, weights, inner, status, named), "pieces")


def _pieces(leaves: Sequence[Tensor]) -> list[list[Tensor]]:
    """Cut leaves, in their order, into at most four pieces of about equal size."""
    limit = sum(leaf.numel() for leaf in leaves) / _PIECES
    pieces: list[list[Tensor]] = [[]]
    size = 0.0
    for leaf in leaves:
        if size >= limit * len(pieces):
            pieces.append([])
        pieces[-1].append(leaf)
        size += leaf.numel()
    return pieces
