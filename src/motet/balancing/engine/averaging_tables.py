"""Gradients of long tables averaged over processes by the rows in use, where these are few.

The rows that some process uses are joined first; then U x D numbers are added up, in place of
V x D. The gradient of a table stays dense, or sparse, as autograd made it.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from motet.balancing.engine.grad import sparse_gradient
from motet.processes import Processes

_LONG, _TALL = 1 << 14, 8
"""Numbers, and rows per column, from which on a matrix may be a table with few rows in use."""


def may_be_table(leaf: Tensor) -> bool:
    """Return whether a leaf has the shape of a long table; what its rows are shows later."""
    return leaf.dim() == 2 and leaf.numel() >= _LONG and len(leaf) >= _TALL * leaf.shape[1]


def average_tables(
    tables: Sequence[Tensor], found: Sequence[Tensor | None], processes: Processes
) -> Iterator[tuple[Tensor, Tensor]]:
    """Average gradients (V, D) by the rows that are not 0, where these are few.

    Args:
        tables: The tables.
        found: Their gradients on this process.
        processes: The processes.

    Yields:
        Each table that some process reaches, and the mean of its gradients.
    """
    rows = [None if each is None else _rows(each) for each in found]
    sparse = [each is None or each.is_sparse for each in found]
    every = processes.of_each(
        list(zip([r if r is None else r.cpu() for r in rows], sparse, strict=True))
    )
    for table, mine, each in zip(tables, found, zip(*every, strict=True), strict=True):
        known = [rows for rows, _ in each if rows is not None]
        if not known:
            continue
        used = torch.unique(torch.cat(known)).to(table.device)
        few = 2 * len(used) <= len(table)
        mean = table.new_zeros(table.shape) if mine is None else mine
        mean = mean.to_dense() if mean.is_sparse else mean
        mean = (mean[used] if few else mean).div(processes.count).contiguous()
        processes.begin_total(mean)()
        if all(is_sparse for _, is_sparse in each):
            yield table, sparse_gradient(used[None], mean if few else mean[used], table.shape)
        elif few:
            yield table, table.new_zeros(table.shape).index_copy_(0, used, mean)
        else:
            yield table, mean


def _rows(gradient: Tensor) -> Tensor:
    """Return the rows of a gradient (V, D) that may be other than 0."""
    if gradient.is_sparse:
        return gradient._indices().flatten()
    return gradient.any(dim=1).nonzero().flatten()
