"""One step of a loss balancer outside any model, with all the calls that it declares."""

import torch


def step(balancer, losses, present=None):
    """Return the weights (T',) that the balancer gives to losses (T',)."""
    losses = torch.as_tensor(losses, dtype=torch.float64).clone().requires_grad_()
    (weights,) = torch.autograd.grad(balancer(losses, present), losses)
    return weights
