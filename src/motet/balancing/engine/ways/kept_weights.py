"""Kept weights: one pass with the weights of an earlier step (``every``)."""

import torch

from motet.balancing.engine.call import BackwardCall
from motet.balancing.engine.leaves import unique
from motet.balancing.engine.result import BackwardResult
from motet.balancing.engine.solving import inner_weights, places
from motet.balancing.engine.weighted_pass import weighted_pass
from motet.balancing.families import GramianBalancer


def kept_weights(call: BackwardCall) -> BackwardResult | None:
    """Minimise the losses with the weights that a balancer keeps; None where it keeps none."""
    assert isinstance(call.balancer, GramianBalancer)
    if call.balancer.every == 1:
        return None
    leaves = call.leaves
    weights = call.balancer.reuse(torch.tensor(places(call.balancer, call.tasks)))
    if weights is None:
        return None
    inner = inner_weights(call)
    if inner is not None:
        inner = inner.cpu()
        weights = weights * inner.double()
    others = unique(leaf for task in call.tasks for leaf in leaves.own[task])
    weighted_pass(call, leaves.shared, others, weights, inner)
    named = dict(zip(call.tasks, weights.unbind(), strict=True))
    return call.result(weights=named, path="kept weights")
