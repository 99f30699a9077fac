"""Gradients that a balancer of a later stage will need, tried on the losses of an earlier step."""

from collections.abc import Mapping

import torch
from torch import Tensor

from motet.balancing.engine.call import advice
from motet.balancing.engine.graph import whole_graph
from motet.balancing.engine.norms import norm_leaves, norm_of, twice_differentiable
from motet.balancing.families import Balancer


def rehearse(losses: Mapping[str, Tensor], balancer: Balancer) -> None:
    """Check that the graph of some losses supports what a balancer does; nothing is written.

    Args:
        losses: A scalar loss per task, with its graph, which stays.
        balancer: The balancer, whose state stays.

    Raises:
        InputError: If a compiled module, a recomputed one, or one that cannot be differentiated
            twice prevents it.
    """
    needs = balancer.needs
    if not needs.gradients:
        return
    leaves = norm_leaves(losses, balancer, None) if needs.norms is not None else []
    leaves = leaves or list(whole_graph(losses.values()).leaves)
    loss = next(iter(losses.values()))
    with advice(), twice_differentiable(balancer):
        found = torch.autograd.grad(
            loss, leaves, retain_graph=True, create_graph=needs.penalizes_norms, allow_unused=True
        )
        norm = norm_of(found, loss)
        if norm.requires_grad:
            torch.autograd.grad(norm, leaves, retain_graph=True, allow_unused=True)
