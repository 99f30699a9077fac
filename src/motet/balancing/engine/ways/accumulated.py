"""Micro-batches: task gradients are added up over several calls, and combined in the last."""

from dataclasses import replace

import torch
from torch import Tensor

from motet.balancing.engine import workspace
from motet.balancing.engine.call import BackwardCall
from motet.balancing.engine.gradient_rows import GradientRows
from motet.balancing.engine.result import BackwardResult, Own
from motet.balancing.engine.task_rows import task_rows, write_balanced
from motet.problems import InputError


def accumulated(call: BackwardCall) -> BackwardResult:
    """Add the gradient of each task to that of the micro-batch before; combine them at the last."""
    _check_same(call)
    rows, own = task_rows(call)
    memory = rows.memory
    if call.previous is not None:
        call, rows, own = _added(call, rows, own, call.previous)
    if not call.solve:
        return call.result(
            weights=None, path="rows", rows=rows, own=tuple(own), balancer=call.balancer
        )
    result = write_balanced(call, rows, own, "rows")
    workspace.give_back(call.balancer, memory)
    return result


def _check_same(call: BackwardCall) -> None:
    """Refuse task gradients of a micro-batch before that are on other leaves."""
    leaves = call.leaves
    if call.previous is None or leaves.listed or call.own_waits:
        return
    assert call.previous.rows is not None
    if {id(leaf) for leaf in leaves.shared} != {id(leaf) for leaf in call.previous.rows.leaves}:
        raise InputError(
            "the graphs of two micro-batches disagree on what is shared, as different tasks are "
            "in them; give shared="
        )


def _added(
    call: BackwardCall, rows: GradientRows, own: Own, previous: BackwardResult
) -> tuple[BackwardCall, GradientRows, Own]:
    """Add the losses and gradients of the micro-batch before."""
    assert previous.rows is not None
    rows = rows.plus(previous.rows, call.balancer.tasks)
    now = {task: loss.detach() for task, loss in call.losses.items()}
    losses = {
        task: sum(
            (each[task] for each in (previous.losses, now) if task in each), torch.tensor(0.0)
        )
        for task in rows.tasks
    }
    return replace(call, losses=losses), rows, _merged([*previous.own, *own])


def _merged(own: Own) -> Own:
    """Add up gradients of the same task on the same leaf, which one micro-batch each gave."""
    sums: dict[tuple[str, int], tuple[str, Tensor, Tensor]] = {}
    for task, leaf, gradient in own:
        known = sums.get((task, id(leaf)))
        sums[task, id(leaf)] = (task, leaf, gradient if known is None else known[2] + gradient)
    return list(sums.values())
