"""Task gradients of several processes: the mean of their rows, split by columns.

Every process has filled rows of the same T' tasks and P columns. Averaging whole rows would move
2 T' P numbers; with its share of the columns, each process computes its share of all inner
products, which are added up, and of the direction, which is gathered: (T' + 1) P numbers in all.
"""

import torch
from torch import Tensor

from motet.balancing.engine.gradient_rows import GradientRows, inner_products, weighted_sum
from motet.balancing.engine.shares import Shares
from motet.processes import Processes


class JoinedRows:
    """The mean of the processes' rows.

    Args:
        rows: Those of this process, overwritten. What they reach becomes what some process reaches.
        processes: The processes.
    """

    def __init__(self, rows: GradientRows, processes: Processes) -> None:
        self._processes, self._size = processes, rows.jacobian.shape[1]
        self._share = (rows.shares or Shares(rows.jacobian, processes)).complete()  # of sums
        products = inner_products(self._share).div_(processes.count**2)
        self._gramian = join_reached(rows, processes, products)

    def gramian(self) -> Tensor:
        """Return the inner products of the rows (T', T'), float64, on the device."""
        return self._gramian

    def combine(self, weights: Tensor) -> Tensor:
        """Compute the weighted sum of the rows (P,)."""
        share = weighted_sum(weights / self._processes.count, self._share)
        return self._processes.joined_shares(share, self._size)


class OwnRows:
    """Rows whose columns are each process's own, as gradients at a representation are.

    Args:
        rows: Those of this process. What they reach becomes what some process reaches.
        processes: The processes.
    """

    def __init__(self, rows: GradientRows, processes: Processes) -> None:
        self._rows = rows
        # a process's share of the mean over all rows is 1 / count of what its rows give
        self._gramian = join_reached(rows, processes, rows.gramian()).div_(processes.count**2)

    def gramian(self) -> Tensor:
        """Return the inner products of the joined rows (T', T'), float64, on the device."""
        return self._gramian

    def combine(self, weights: Tensor) -> Tensor:
        """Compute the weighted sum of this process's rows."""
        return self._rows.combine(weights)


def average_rows(rows: GradientRows, processes: Processes) -> None:
    """Replace rows by their mean over the processes, 2 T' P numbers."""
    processes.begin_total(rows.jacobian)()
    rows.jacobian.div_(processes.count)
    join_reached(rows, processes, rows.jacobian.new_zeros(0, dtype=torch.float64))


def join_reached(rows: GradientRows, processes: Processes, values: Tensor) -> Tensor:
    """Add up some values over the processes, and join what their rows reach.

    Returns:
        The sums, float64.
    """
    reached = torch.tensor(rows.reached, dtype=torch.float64)
    dense = reached.clone()
    for task, place in rows.sparse:
        dense[task, place] = 0
    together = [values.flatten(), reached.flatten().to(values.device), dense.sum(dim=0).to(values)]
    sums = processes.total(torch.cat(together))
    found, joined, dense = torch.split(sums, [values.numel(), reached.numel(), reached.shape[1]])
    rows.reached = (joined > 0).view(reached.shape).tolist()
    mixed = {place for place, count in enumerate(dense.tolist()) if count}
    _join_indices(rows, processes, mixed)
    return found.view(values.shape)


def _join_indices(rows: GradientRows, processes: Processes, dense: set[int]) -> None:
    """Exchange the indices of leaves whose gradients are sparse on all processes."""
    mine, rows.sparse = rows.sparse, {}
    places = {place for row in rows.reached for place, here in enumerate(row) if here} - dense
    for place in sorted(places):
        known = [each.cpu() for (_, where), each in mine.items() if where == place]
        every = torch.cat([e for each in processes.of_each(known) for e in each], dim=1)
        for task, row in enumerate(rows.reached):
            if row[place]:
                rows.sparse[task, place] = every.to(rows.jacobian.device)
