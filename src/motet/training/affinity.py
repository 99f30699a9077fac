"""Affinity of tasks by looking ahead: what a step for one task does to the losses of the others.

Z(i → j) = 1 - L_j(θ - η g_i) / L_j(θ), with the heads fixed, g_i the gradient of task i on the
shared parameters θ and η the learning rate: the share of the loss of j that a step of plain
gradient descent for i alone removes (TAG, Fifty et al., NeurIPS 2021, arXiv:2109.04617). To first
order, Z = η ⟨g_i, g_j⟩ / L_j, which inner products give for nothing. NaN where L_j is not positive.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from motet.balancing.engine.gradient_rows import GradientRows
from motet.host import on_host
from motet.training.statistics import Matrix, Measured

Losses = Mapping[str, float]


def first_order(measured: Measured, losses: Losses, rate: float) -> Matrix:
    """Return the affinity of every task (row) to every other one (column), to first order.

    Args:
        measured: Inner products of the gradients of T' tasks.
        losses: Their losses.
        rate: The learning rate η.

    Returns:
        Z (T', T').
    """
    found = np.fromiter(map(losses.__getitem__, measured.tasks), np.float64)
    return rate * measured.gramian / np.where(found > 0, found, np.nan)


def exact(
    measured: Measured,
    losses: Losses,
    rate: float,
    compute: Callable[[], Mapping[str, Tensor]],
) -> Matrix:
    """Return the affinity of every task to every other one, by T' forward passes.

    Parameters are moved for each pass and restored bit for bit.

    Args:
        measured: The gradients of T' tasks, with their rows.
        losses: Their losses.
        rate: The learning rate η.
        compute: Computes the losses of the same batch again, with the same random numbers.

    Returns:
        Z (T', T').
    """
    assert measured.rows is not None
    after = np.full((len(measured.tasks),) * 2, np.nan)
    with torch.no_grad():
        for row in range(len(measured.tasks)):
            with _moved(measured.rows, row, rate):
                found = compute()
            numbers = on_host([found[task] for task in measured.tasks])
            after[row] = numbers
    before = np.fromiter(map(losses.__getitem__, measured.tasks), np.float64)
    return 1 - after / np.where(before > 0, before, np.nan)


@contextmanager
def _moved(rows: GradientRows, row: int, rate: float) -> Iterator[None]:
    """Move parameters against the gradient of one task, for a block."""
    kept = [leaf.detach().clone() for leaf in rows.leaves]
    try:
        for leaf, gradient in zip(rows.leaves, rows.views(rows.jacobian[row]), strict=True):
            leaf.sub_(gradient, alpha=rate)
        yield
    finally:
        for leaf, before in zip(rows.leaves, kept, strict=True):
            leaf.copy_(before)
