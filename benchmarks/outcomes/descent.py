"""Gradient descent on small problems, from many starts and with many balancers at once.

The points of all runs are rows of one tensor, so that the problem is evaluated once per step. Each
run has its own balancer, which gets the Jacobian of its own row, by `motet.balancing.combine`.
"""

import torch

from motet.balancing import combine


def jacobians(problem, points):
    """Losses (N, T) and their gradients (N, T, P) at N points (N, P)."""
    points = points.detach().requires_grad_()
    losses = problem(points)
    rows = [torch.autograd.grad(column.sum(), points, retain_graph=True)[0] for column in losses.T]
    return losses.detach(), torch.stack(rows, dim=1)


def descend(problem, runs, steps, optimizer, *, decay=False):
    """Where each run of ``steps`` ends, (N, P), in float64.

    Args:
        problem: Points (N, P) to losses (N, T), row by row.
        runs: Pairs of a balancer and its start (P,).
        steps: Steps of each run.
        optimizer: Creates an optimizer from a list of parameters; it must be elementwise.
        decay: Whether the learning rate decays to 0, linearly.
    """
    balancers, starts = zip(*runs, strict=True)
    points = torch.nn.Parameter(torch.tensor(starts, dtype=torch.float64))
    optimizer = optimizer([points])
    first = optimizer.param_groups[0]["lr"]
    for step in range(steps):
        losses, rows = jacobians(problem, points)
        found = [combine(*given) for given in zip(rows, balancers, losses, strict=True)]
        points.grad = torch.stack(found)
        if decay:
            optimizer.param_groups[0]["lr"] = first * (1 - step / steps)
        optimizer.step()
    return points.detach()
