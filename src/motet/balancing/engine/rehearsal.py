"""Gradients that a balancer will need, tried on the losses of a step that another one makes."""

from collections.abc import Mapping

import torch
from torch import Tensor

from motet.balancing.engine.call import Call, advice
from motet.balancing.engine.graph import whole_graph
from motet.balancing.engine.norms import norm_leaves, norm_of, twice_differentiable
from motet.balancing.families import Balancer


def rehearse(losses: Mapping[str, Tensor], balancer: Balancer) -> None:
    """Check that the graph of some losses can be used as a balancer will; nothing is written.

    Args:
        losses: A scalar loss per task, with its graph, which stays.
        balancer: The balancer, which learns nothing.

    Raises:
        InputError: If a compiled module, a recomputed one, or one that cannot be differentiated
            twice stands in the way.
    """
    call = Call(dict(losses), balancer, scale=1.0, weighted=False, keep_graph=True)
    leaves: list[Tensor] = []
    needs = balancer.needs
    if not needs.gradients:
        return
    if needs.norms is not None:
        leaves = norm_leaves(call, None, needs.norms)
    leaves = leaves or list(whole_graph(losses.values()).leaves)
    loss, twice = next(iter(losses.values())), needs.penalizes_norms
    with advice(), twice_differentiable(balancer):
        found = torch.autograd.grad(
            loss, leaves, retain_graph=True, create_graph=twice, allow_unused=True
        )
        norm = norm_of(found, loss)
        if norm.requires_grad:
            torch.autograd.grad(norm, leaves, retain_graph=True, allow_unused=True)
