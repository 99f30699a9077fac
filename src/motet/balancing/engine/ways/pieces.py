"""Pieces: the Gramian from a quarter of the shared leaves at a time, then one weighted pass."""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from motet.balancing.engine import workspace
from motet.balancing.engine.call import BackwardCall
from motet.balancing.engine.gradient_rows import GradientRows, components
from motet.balancing.engine.leaves import unique
from motet.balancing.engine.result import BackwardResult
from motet.balancing.engine.shares import Shares
from motet.balancing.engine.solving import Solved, join_rows, solved_result, weigh
from motet.balancing.engine.task_rows import fill_row
from motet.balancing.engine.weighted_pass import weighted_pass

_PIECES = 4


def pieces(call: BackwardCall) -> BackwardResult:
    """Add up the Gramian over pieces of the shared leaves, then minimise the weighted losses."""
    leaves = call.leaves
    kept = replace(call, keep_graph=True)
    gramian: Tensor | None = None
    reached: list[list[bool]] = [[] for _ in call.tasks]
    memory = workspace.lend(call.balancer)
    for number, piece in enumerate(_pieces(leaves.shared)):
        rows = GradientRows(piece, call.tasks, memory)
        if call.shares_columns:
            rows.shares = Shares(rows.jacobian, call.processes)
        for row, task in enumerate(call.tasks):
            own = leaves.own[task] if number == 0 and not call.own_waits else []
            call.add_all(own, fill_row(kept, rows, row, own))
        found = (join_rows(call, rows) if call.processes.several else rows).gramian()
        gramian = found if gramian is None else gramian + found
        for known, more in zip(reached, rows.reached, strict=True):
            known += more
        memory = rows.memory
    assert gramian is not None
    assert memory is not None
    workspace.give_back(call.balancer, memory)
    groups = components(reached)
    weights, gramian, status, inner = weigh(call, gramian, call.values(), groups, memory.dtype)
    waiting = [leaf for task in call.tasks for leaf in leaves.own[task]] if call.own_waits else []
    weighted_pass(call, leaves.shared, unique(waiting), weights, inner)
    if not call.own_waits:
        call.average()
    named = tuple(tuple(call.tasks[place] for place in group) for group in groups)
    return solved_result(call, Solved(weights, weights, gramian, status, named), "pieces")


def _pieces(leaves: Sequence[Tensor]) -> list[list[Tensor]]:
    """Divide leaves, in their order, into at most four pieces of about equal size."""
    limit = sum(leaf.numel() for leaf in leaves) / _PIECES
    pieces: list[list[Tensor]] = [[]]
    size = 0.0
    for leaf in leaves:
        if size >= limit * len(pieces):
            pieces.append([])
        pieces[-1].append(leaf)
        size += leaf.numel()
    return pieces
