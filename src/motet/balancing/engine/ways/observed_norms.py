"""Observed norms: one pass for the total of a loss balancer, after which it reads the norms."""

from dataclasses import replace

import torch

from motet.balancing.engine.call import BackwardCall
from motet.balancing.engine.norms import NOTHING_SHARED, norm_leaves, norm_of
from motet.balancing.engine.result import BackwardResult
from motet.balancing.engine.solving import loss_weights, report_norms
from motet.balancing.solvers.solution import OK


def observed_norms(call: BackwardCall) -> BackwardResult:
    """Minimise the total of a loss balancer, and report to it the norms of the task gradients."""
    leaves = norm_leaves(call.losses, call.balancer, call.shared)
    kept = replace(call, keep_graph=True)
    values = call.stacked()
    plain = values.detach().clone()
    norms = [norm_of(kept.gradients(task, leaves), plain) for task in call.tasks] if leaves else []
    weights, total, status = loss_weights(call, values, through=True)
    named = dict(zip(call.tasks, weights.unbind(), strict=True))
    if not leaves:
        status = NOTHING_SHARED if status == OK else status
        return call.result(weights=named, path="loss", status=status, combined=total)
    if status == OK:
        lengths = torch.stack(norms).to(plain) / call.scale
        report_norms(call.balancer, lengths, plain, call.tasks)
    return call.result(weights=named, path="loss and norms", status=status, combined=total)
