"""One pass: a loss balancer's total is differentiated as it is."""

import math
from functools import reduce
from operator import attrgetter

import torch
from torch import Tensor

from motet.balancing.engine.call import BackwardCall
from motet.balancing.engine.result import BackwardResult
from motet.balancing.engine.solving import loss_weights, places
from motet.balancing.solvers.solution import NOT_FINITE, OK
from motet.host import on_host


def one_pass(call: BackwardCall) -> BackwardResult:
    """Minimise the total of a loss balancer; its weights are d total / d losses."""
    if call.balancer.needs.fixed_weights:
        return _fixed(call)
    weights, total, status = loss_weights(call, call.stacked(), through=True)
    named = dict(zip(call.tasks, weights.unbind(), strict=True))
    return call.result(weights=named, path="loss", status=status, combined=total)


def _fixed(call: BackwardCall) -> BackwardResult:
    """Begin the pass at the losses, by weights that are known: no graph multiplies them."""
    balancer, losses, status = call.balancer, list(call.losses.values()), OK
    balancer.count_step()
    weights: Tensor = balancer.task_weights
    if call.tasks != balancer.tasks:
        weights = weights[places(balancer, call.tasks)]
    # to begin with numbers, torch imports SymPy, which takes as long as hundreds of steps
    plain = call.scale == 1 and call.penalty is None and _is_sum(weights, losses)
    outputs = [reduce(torch.add, losses)] if plain else losses
    numbers = outputs if call.joined is None else call.joined.unbind()
    if all(map(math.isfinite, on_host(numbers))):  # a device sync
        weights = weights.to(losses[0].device, copy=True)
    else:
        weights = torch.full(weights.shape, torch.nan, device=losses[0].device)
        plain, outputs, status = False, losses, NOT_FINITE
    if plain:
        call.minimise(outputs, None)
    else:
        starts = weights if call.scale == 1 else weights * call.scale
        begin = [start.to(loss.dtype) for start, loss in zip(starts.unbind(), losses, strict=True)]
        if call.penalty is not None:
            outputs, begin = [*losses, call.penalty], [*begin, *call.start([call.penalty])]
        call.minimise(outputs, begin)
    named = dict(zip(call.tasks, weights.unbind(), strict=True))
    return call.result(weights=named, path="loss", status=status)


def _is_sum(weights: Tensor, losses: list[Tensor]) -> bool:
    """Whether all weights are 1; a GPU would have to be waited for, and a sum can overflow."""
    if not weights.is_cpu or set(weights.tolist()) != {1.0}:
        return False
    return set(map(attrgetter("dtype"), losses)) <= {torch.float32, torch.float64}
