"""Ways to compute gradients on the parameters: one pass, a row per task, or piece by piece."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from motet.balancing.engine.call import Call, add_all, gradients, stacked
from motet.balancing.engine.leaves import Leaves, unique
from motet.balancing.engine.result import BackwardResult
from motet.balancing.engine.rows import Rows, components
from motet.balancing.engine.solving import Solved, balance, loss_weights, solved_result, weigh


def one_pass(call: Call) -> BackwardResult:
    """Let a loss balancer combine the losses; its weights are d total / d losses."""
    values = stacked(list(call.losses.values()))
    weights, status = loss_weights(call, values.detach())
    torch.autograd.backward([values], [weights * call.scale], retain_graph=call.keep_graph)
    return call.result(
        weights=dict(zip(call.tasks, weights.unbind(), strict=True)), path="loss", status=status
    )


def by_rows(
    call: Call, leaves: Leaves, *, solve: bool, previous: BackwardResult | None
) -> BackwardResult:
    """Compute the gradient of each task on the shared leaves, and combine them."""
    rows = Rows(leaves.shared, call.tasks)
    others = Rows(unique(leaves.own.values()), call.tasks) if call.weighted else None
    count = len(leaves.shared)
    for place, task in enumerate(call.tasks):
        found = call.gradients(task, [*leaves.shared, *leaves.own[task]])
        rows.fill(place, found[:count], 1 / call.scale)
        if others is None:
            add_all(leaves.own[task], found[count:])
        else:
            known = {id(leaf): g for leaf, g in zip(leaves.own[task], found[count:], strict=True)}
            others.fill(place, [known.get(id(leaf)) for leaf in others.leaves], 1 / call.scale)
    waiting: tuple[Rows, ...] = (rows,) if others is None else (rows, others)
    losses = {task: loss.detach() for task, loss in call.losses.items()}
    if previous is not None:
        waiting = tuple(old.plus(new) for old, new in zip(previous.rows, waiting, strict=True))
        zero = torch.zeros(())
        losses = {
            task: previous.losses.get(task, zero) + losses.get(task, zero)
            for task in waiting[0].tasks
        }
    call = replace(call, losses=losses)
    if not solve:
        return call.result(weights=None, path="rows", rows=waiting)
    solved = balance(call, waiting[0])
    waiting[0].add_to_grad(solved.direction * call.scale)
    if len(waiting) > 1:
        assert solved.weights is not None
        waiting[1].add_to_grad(waiting[1].combine(solved.weights) * call.scale)
    return solved_result(call, solved, "rows")


_PIECES = 4


def in_pieces(call: Call, leaves: Leaves) -> BackwardResult:
    """Add up the Gramian over pieces of the shared leaves, then go back once with the weights."""
    kept = replace(call, keep_graph=True)
    gramian: Tensor | None = None
    reached: list[list[bool]] = [[] for _ in call.tasks]
    for number, piece in enumerate(_pieces(leaves.shared)):
        rows = Rows(piece, call.tasks)
        for place, task in enumerate(call.tasks):
            own = leaves.own[task] if number == 0 and not call.weighted else []
            found = kept.gradients(task, [*piece, *own])
            rows.fill(place, found[: len(piece)], 1 / call.scale)
            reached[place] += rows.reached[place]
            add_all(own, found[len(piece) :])
        gramian = rows.gramian() if gramian is None else gramian + rows.gramian()
    assert gramian is not None
    groups = components(reached)
    weights, inner, status = weigh(call, gramian, groups)
    wanted = unique([leaves.shared, *(leaves.own.values() if call.weighted else ())])
    values = stacked(list(call.losses.values()))
    total = weights.to(values) @ values * call.scale
    add_all(wanted, gradients([total], wanted, retain=call.keep_graph))
    named = tuple(tuple(call.tasks[place] for place in group) for group in groups)
    return solved_result(call, Solved(total, weights, inner, status, named), "pieces")


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
