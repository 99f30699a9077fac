"""Balancing at the representation: one pass through the shared part for all tasks."""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor
from torch.autograd.graph import GradientEdge

from motet.balancing.engine.call import Call, add_all, gradients
from motet.balancing.engine.graph import walk
from motet.balancing.engine.leaves import Leaves, Shared, listed
from motet.balancing.engine.result import BackwardResult
from motet.balancing.engine.rows import Rows
from motet.balancing.engine.solving import balance, solved_result
from motet.problems import InputError


def at_representation(
    call: Call, shared: Shared | None, representation: Tensor | Sequence[Tensor] | None
) -> BackwardResult:
    """Balance on the gradients at the representation, then go back through the shared part once."""
    leaves, edges = _around(call, shared, representation)
    kept = replace(call, keep_graph=True)  # for the way back
    found = {task: kept.gradients(task, [*edges, *leaves.own[task]]) for task in call.tasks}
    cotangents = [[found[task][place] for task in call.tasks] for place in range(len(edges))]
    known = [next(each for each in column if each is not None) for column in cotangents]
    rows = Rows(known, call.tasks)
    own = []
    for place, task in enumerate(call.tasks):
        rows.fill(place, found[task][: len(edges)], 1 / call.scale)
        own.append(found[task][len(edges) :])
    solved = balance(call, rows)
    for place, task in enumerate(call.tasks):
        factor = solved.weights[place] if call.weighted and solved.weights is not None else None
        add_all(leaves.own[task], own[place], factor)
    parts = [
        (part * call.scale).to(like.dtype)
        for part, like in zip(rows.views(solved.direction), known, strict=True)
    ]
    back = gradients(edges, leaves.shared, parts, retain=call.keep_graph)
    add_all(leaves.shared, back)
    return solved_result(call, solved, "representation")


def _around(
    call: Call, shared: Shared | None, representation: Tensor | Sequence[Tensor] | None
) -> tuple[Leaves, list[Tensor | GradientEdge]]:
    """Return the leaves on both sides of the representation, and the representation itself."""
    graph = walk(call.losses)
    if any(hasattr(edge.node, "variable") for cut in graph.cuts for edge in cut):
        raise InputError(
            "a shared parameter is used by a task's own part too (tied weights), so no "
            'representation parts the two; use at="parameters"'
        )
    behind = [leaf for leaf, bits in graph.leaves.items() if bits & (bits - 1)]
    if shared is not None:
        asked = {id(leaf) for leaf in listed(shared)}
        behind = [leaf for leaf in behind if id(leaf) in asked]
    if not behind:
        raise InputError("no shared parameter lies behind the losses of two tasks; check `shared`")
    hidden = {id(leaf) for leaf in behind}
    own = {
        task: [
            leaf
            for leaf, bits in graph.leaves.items()
            if bits >> bit & 1 and id(leaf) not in hidden and not bits & (bits - 1)
        ]
        for bit, task in enumerate(call.tasks)
    }
    edges: list[Tensor | GradientEdge]
    if representation is None:
        edges = list(dict.fromkeys(edge for cut in graph.cuts for edge in cut))
    else:
        edges = [representation] if isinstance(representation, Tensor) else list(representation)
    return Leaves(behind, own), edges
