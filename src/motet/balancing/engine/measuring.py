"""Task gradients that are measured and leave no trace: neither ``.grad`` nor a balancer changes.

For balancers that compute no task gradients, and for what the others do not show, such as inner
products by layer. Cost: a backward pass per task, and T' x P numbers while they are compared.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from motet.balancing.engine.call import serves_once
from motet.balancing.engine.gradient_rows import GradientRows, inner_products
from motet.balancing.engine.joined_rows import average_rows
from motet.processes import Processes


def measured_rows(
    losses: Mapping[str, Tensor], leaves: Sequence[Tensor], scale: float = 1.0
) -> GradientRows | None:
    """Compute the gradients of some losses; their graphs stay.

    Args:
        losses: A scalar loss for each of T' tasks; without a graph its gradient is 0.
        leaves: The P numbers that gradients are with respect to.
        scale: The loss scaler's factor, which gradients are divided by.

    Returns:
        The rows; None where a compiled or recomputed module supports one backward pass alone, which
        is the one for training.
    """
    rows = GradientRows(leaves, list(losses))
    for row, loss in enumerate(losses.values()):
        found = _gradients(loss, leaves, scale)
        if found is None:
            return None
        rows.fill(row, found, 1 / scale)
    return rows


def _gradients(
    loss: Tensor, wanted: Sequence[Tensor], scale: float
) -> Sequence[Tensor | None] | None:
    if not loss.requires_grad:  # of rows of other processes
        return [None] * len(wanted)
    start = torch.full_like(loss, scale)
    try:
        return torch.autograd.grad(loss, wanted, start, retain_graph=True, allow_unused=True)
    except RuntimeError as error:
        if not serves_once(error):
            raise
        return None


def joined_gramians(rows: GradientRows, sizes: Sequence[int], processes: Processes) -> Tensor:
    """Compute the inner products of rows on groups of leaves.

    Args:
        rows: The rows; of several processes, they become their mean.
        sizes: Number of leaves in each of G groups, in the order of the leaves.
        processes: The processes.

    Returns:
        Inner products (G, T', T'), float64, on the CPU; their sum over groups is the Gramian.
    """
    if processes.several:
        average_rows(rows, processes)
    ends = torch.tensor(sizes).cumsum(0).tolist()
    numbers = [leaf.numel() for leaf in rows.leaves]
    widths = [sum(numbers[end - size : end]) for size, end in zip(sizes, ends, strict=True)]
    parts = torch.split(rows.jacobian, widths, dim=1)
    return torch.stack([inner_products(part) for part in parts]).cpu()
