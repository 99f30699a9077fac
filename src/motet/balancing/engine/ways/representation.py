"""Representation: gradients are compared there; one pass of the shared part for all tasks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from motet.balancing.engine.call import BackwardCall, gradients_behind
from motet.balancing.engine.gradient_rows import GradientRows
from motet.balancing.engine.graph import (
    HIDDEN,
    Place,
    edges,
    is_leaf,
    nested,
    place,
    walk,
    whole_graph,
)
from motet.balancing.engine.inputs import check_real, given_tensors
from motet.balancing.engine.leaves import common_leaves, own_leaves, trainable
from motet.balancing.engine.result import BackwardResult
from motet.balancing.engine.solving import balance, own_weights, solved_result
from motet.problems import InputError


@dataclass(frozen=True)
class _Sides:
    """A graph, cut at the representation."""

    representation: list[GradientEdge]
    shared: list[Tensor]
    """Leaves behind it that get the balanced gradient."""
    plain: list[Tensor]
    """Leaves behind it that get the plain sum."""
    own: dict[str, list[Tensor]]
    """Leaves that each task reaches before it."""


def representation(call: BackwardCall) -> BackwardResult:
    """Balance on the gradients at the representation, then do one pass of the shared part.

    With several processes each has its own rows of the representation, perhaps none: inner products
    add up, and what the shared part gives is averaged.

    Returns:
        What was done.

    Raises:
        InputError: If no representation separates the shared part, or no loss reaches it.
    """
    several = call.processes.several
    losses = {task: loss for task, loss in call.losses.items() if loss.requires_grad}
    sides = _cut(call, losses) if losses else _Sides([], [], [], {})
    count = len(sides.representation)
    kept = replace(call, keep_graph=True)  # for the shared part
    found = {
        task: kept.gradients(task, [*sides.representation, *sides.own.get(task, [])])
        for task in call.tasks
    }
    likes = [
        next((each for each in column if each is not None), None)
        for column in zip(*(found[task][:count] for task in call.tasks), strict=True)
    ]
    here = [place for place, like in enumerate(likes) if like is not None]
    known = [like for like in likes if like is not None]
    if len(known) < count and not several:
        raise InputError("no loss reaches a tensor in `representation`; give what heads were given")
    check_real(known, "the representation", call.balancer)
    rows = GradientRows(known, call.tasks)
    for row, task in enumerate(call.tasks):
        rows.fill(row, [found[task][place] for place in here], 1 / call.scale)
    if several:
        rows.reached = [
            [place < count and each[place] is not None for place in range(call.places)]
            for each in found.values()
        ]
    solved = balance(call, rows)
    weights = own_weights(call, solved.weights, solved.inner)
    for row, task in enumerate(call.tasks):
        factor = None if weights is None else weights[row]
        call.add_all(sides.own.get(task, []), found[task][count:], factor)

    def add_behind(direction: Tensor, leaves: list[Tensor], retain: bool) -> None:
        pairs = zip(rows.views(direction * call.scale), known, strict=True)
        start = [each.to(like.dtype) for each, like in pairs]
        edges = [sides.representation[place] for place in here]
        places = [(edge.node, edge.output_nr) for edge in edges]
        call.add_all(leaves, gradients_behind(places, leaves, start, retain=retain))

    if sides.plain:
        ones = torch.ones(len(call.tasks))
        add_behind(rows.combine(ones if weights is None else weights), sides.plain, retain=True)
    add_behind(solved.direction, sides.shared, retain=call.keep_graph)
    call.average(shared=True)
    return solved_result(call, solved, "representation")


def _cut(call: BackwardCall, of_tasks: Mapping[str, Tensor]) -> _Sides:
    """Cut the graph of some losses at the representation."""
    losses = [place(loss) for loss in of_tasks.values()]
    whole = whole_graph(of_tasks.values())
    cut = whole.cuts if call.representation is None else _given(call.representation)
    if whole.hidden and call.representation is None:
        raise InputError(f"{HIDDEN}; give representation=, or compile the shared part alone")
    before = walk(losses, stops=cut).leaves
    behind = walk(list(cut)).leaves
    if any(is_leaf(node) for node, _ in cut) or not before.keys().isdisjoint(behind.keys()):
        raise InputError(
            "a parameter behind the representation is also reached around it, as tied weights are, "
            'so no representation separates shared from own; use at="parameters"'
        )
    if nested(cut):
        raise InputError(
            "tasks diverge at several depths, so no one representation comes before all of them; "
            'use at="parameters"'
        )
    shared = call.shared if call.given is None else call.given.shared
    if shared is not None:
        wanted = {id(leaf) for leaf in trainable(shared)}
        if any(id(leaf) in wanted for leaf in before):
            raise InputError("`shared` holds a parameter that comes after the representation")
    else:
        wanted = {id(leaf) for leaf in common_leaves(whole.leaves)}
    balanced = [leaf for leaf in behind if id(leaf) in wanted or call.weighted]
    if not any(id(leaf) in wanted for leaf in balanced):
        raise InputError("no shared parameter lies behind the losses of two tasks; check `shared`")
    plain = [leaf for leaf in behind if id(leaf) not in wanted and not call.weighted]
    return _Sides(edges(cut), balanced, plain, own_leaves(of_tasks, before, ()))


def _given(given: Tensor | Sequence[Tensor]) -> dict[Place, None]:
    tensors = given_tensors(given)
    if not tensors:
        raise InputError("`representation` holds no tensor; give what heads were given")
    for tensor in tensors:
        if not isinstance(tensor, Tensor) or tensor.grad_fn is None:
            raise InputError(
                "`representation` holds a tensor without a graph; give the tensors that the heads "
                "were given, not detached"
            )
    return dict.fromkeys(map(place, tensors))
