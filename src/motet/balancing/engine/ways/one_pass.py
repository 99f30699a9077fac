"""One pass: a loss balancer's total is differentiated as it is."""

import math
from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from motet.balancing.engine.call import BackwardCall
from motet.balancing.engine.result import BackwardResult
from motet.balancing.engine.solving import loss_weights, places
from motet.balancing.solvers.solution import NOT_FINITE, OK
from motet.host import on_host
from motet.wide_state import at_least_float32


def one_pass(call: BackwardCall) -> BackwardResult:
    """Minimise the total of a loss balancer; its weights are d total / d losses."""
    if call.balancer.needs.fixed_weights:
        return _fixed(call)
    weights, total, status = loss_weights(call, call.stacked(), through=True)
    named = dict(zip(call.tasks, weights.unbind(), strict=True))
    return call.result(weights=named, path="loss", status=status, combined=total)


def _fixed(call: BackwardCall) -> BackwardResult:
    """Minimise the losses times weights that are known, which a graph need not find."""
    balancer, losses = call.balancer, list(call.losses.values())
    balancer.count_step()
    weights: Tensor = balancer.task_weights
    if call.tasks != balancer.tasks:
        weights = weights[places(balancer, call.tasks)]
    here = weights.is_cpu  # others stay tensors, as to read them is a device sync
    factors = weights.tolist() if here else weights.unbind()
    with torch.enable_grad():  # as a caller may have turned it off
        pairs = zip(map(at_least_float32, losses), factors, strict=True)
        parts = [loss if here and factor == 1 else loss * factor for loss, factor in pairs]
        total = reduce(torch.add, parts)
        if call.joined is None:
            finite = _finite([total]) or _finite(losses)  # whose sum may overflow
        else:
            finite = _finite(call.joined.unbind())
        if not finite:
            total = total * torch.nan
    weights = weights.to(total.device, copy=True)
    if not finite:
        weights.fill_(torch.nan)
    outputs = [total] if call.penalty is None else [total, call.penalty]
    call.minimise(outputs, None if call.scale == 1 else call.start(outputs))
    named = dict(zip(call.tasks, weights.unbind(), strict=True))
    return call.result(weights=named, path="loss", status=OK if finite else NOT_FINITE)


def _finite(numbers: Sequence[Tensor]) -> bool:
    """Return whether all are finite; a device sync."""
    return all(map(math.isfinite, on_host(numbers)))
