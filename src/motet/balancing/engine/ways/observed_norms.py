"""Observed norms: one pass for the total of a loss balancer, after which it reads the norms."""

from dataclasses import replace

import torch
from torch import Tensor

from motet.balancing.engine.call import BackwardCall
from motet.balancing.engine.gradient_rows import GradientRows
from motet.balancing.engine.joined_rows import JoinedRows
from motet.balancing.engine.norms import (
    NOTHING_SHARED,
    joined_norm_leaves,
    norm_leaves,
    norm_of,
)
from motet.balancing.engine.result import BackwardResult
from motet.balancing.engine.solving import loss_weights, report_norms
from motet.balancing.solvers.solution import OK


def observed_norms(call: BackwardCall) -> BackwardResult:
    """Minimise the total of a loss balancer, and report to it the norms of the task gradients."""
    if call.processes.several:
        leaves = joined_norm_leaves(call)
    else:
        leaves = norm_leaves(call.losses, call.balancer, call.shared)
    kept = replace(call, keep_graph=True)
    values = call.stacked()
    plain = values.detach().clone()
    norms = _norms(kept, leaves, plain) if leaves else plain
    weights, total, status = loss_weights(call, values, through=True)
    named = dict(zip(call.tasks, weights.unbind(), strict=True))
    if not leaves:
        status = NOTHING_SHARED if status == OK else status
        return call.result(weights=named, path="loss", status=status, combined=total)
    if status == OK:
        lengths = norms.to(plain) / call.scale
        report_norms(call.balancer, lengths, plain, call.tasks)
    return call.result(weights=named, path="loss and norms", status=status, combined=total)


def _norms(call: BackwardCall, leaves: list[Tensor], like: Tensor) -> Tensor:
    """Compute the norms (T',) of the scaled gradients on some leaves."""
    if not call.processes.several:
        return torch.stack([norm_of(call.gradients(task, leaves), like) for task in call.tasks])
    rows = GradientRows(leaves, call.tasks)
    for row, task in enumerate(call.tasks):
        rows.fill(row, call.gradients(task, leaves))
    return JoinedRows(rows, call.processes).gramian().diagonal().sqrt()
