"""What processes exchange in a forward pass: one sum for all numbers of a step.

The values of losses become those of all rows, equal bit for bit on every process; their gradients
stay those of a process's own rows, times the number of processes, so that the mean of the gradients
over processes is the gradient of all rows.
"""

from collections.abc import Callable, Collection, Sequence

import torch
from torch import Tensor, nn

from motet.data.tensors import first_leaf
from motet.problems import InputError
from motet.processes import Processes
from motet.training.passes.passed import Terms
from motet.training.plan import Part

_MARKED = 1024
"""Numbers of a batch that its mark is made of."""
_MODULUS = 1 << 20


class Joining:
    """Adds up what processes found of the same step.

    Args:
        processes: The processes.
        model: The model. Its modules may name, in ``means_of_rows``, buffers that follow means over
            the rows of a forward pass.
    """

    def __init__(self, processes: Processes, model: nn.Module) -> None:
        self.processes = processes
        self._means = [
            (module, name)
            for module in model.modules()
            for name in getattr(module, "means_of_rows", ())
        ]
        self.asks_to_stop: Callable[[], bool] = lambda: False
        """Whether this process was asked to stop."""
        self.stops = False
        """Whether some process was asked to stop, before the last losses were joined."""

    def join(
        self, tasks: Sequence[str], terms: Terms, parts: Sequence[Part], like: Tensor
    ) -> tuple[Terms, frozenset[str]]:
        """Add up losses.

        Args:
            tasks: The tasks that have targets.
            terms: Sum and count of their losses, as far as this process has rows of them.
            parts: What was computed, before it was divided; the same on every process.
            like: A tensor on the device of losses without rows.

        Returns:
            Sum and count of each task's loss, of all rows; and the tasks whose loss has a gradient
            on some process.

        Raises:
            InputError: If processes were given different batches.
        """
        processes, marks = self.processes, _marks(parts)
        own = [_numbers(terms.get(task), like) for task in tasks]
        more = torch.tensor(
            [float(self.asks_to_stop()), *marks, *(mark**2 for mark in marks)], dtype=torch.float64
        )
        found = processes.total(torch.cat([*own, more.to(like.device)]))
        numbers = found.tolist()  # a device sync
        rest = numbers[len(tasks) * _EACH :]
        self.stops = rest[0] > 0
        _check_marks(rest[1 : len(marks) + 1], rest[len(marks) + 1 :], processes.count)
        joined: Terms = {}
        for place, task in enumerate(tasks):
            total, count = found[place * _EACH : place * _EACH + 2]
            wide = numbers[place * _EACH + 2] > 0
            dtype = torch.float64 if wide else torch.float32
            joined[task] = self._loss(terms.get(task), total.to(dtype)), count.to(dtype)
        graphs = (t for place, t in enumerate(tasks) if numbers[place * _EACH + 3] > 0)
        return joined, frozenset(graphs)

    def join_means(self, share: float) -> None:
        """Give buffers that follow means over rows the values that all rows would have given.

        Args:
            share: Share of the rows that this process has.
        """
        buffers: list[Tensor] = [getattr(module, name) for module, name in self._means]
        if not buffers:
            return
        own = torch.cat([each.double().reshape(-1) for each in buffers])
        found = torch.split(self.processes.total(own * share), [each.numel() for each in buffers])
        for buffer, mean in zip(buffers, found, strict=True):
            buffer.copy_(mean.view_as(buffer))

    def _loss(self, own: tuple[Tensor, Tensor] | None, total: Tensor) -> Tensor:
        """Return the sum of all rows, whose gradient is that of this process's."""
        if own is None or not own[0].requires_grad:
            return total
        scaled = own[0] * self.processes.count
        return total + (scaled - scaled.detach())  # the difference is 0


_EACH = 4


def _numbers(term: tuple[Tensor, Tensor] | None, like: Tensor) -> Tensor:
    """Return sum and count of a loss, and whether it is float64 and has a gradient, (4,)."""
    if term is None:
        return torch.zeros(_EACH, dtype=torch.float64, device=like.device)
    total, count = term
    facts = torch.tensor(
        [total.dtype == torch.float64, total.requires_grad], dtype=torch.float64, device=like.device
    )
    return torch.cat([torch.stack([total.detach().double(), count.double()]), facts])


def _marks(parts: Sequence[Part]) -> list[float]:
    """Return small whole numbers that differ between batches: rows, and a few of their bits."""
    found: list[float] = []
    for part in parts:
        found.append(part.batch.rows_of_all)
        leaf = first_leaf(part.batch.inputs)
        if part.batch.share is None and isinstance(leaf, Tensor) and leaf.numel():
            some = leaf.detach().reshape(-1)[:_MARKED].contiguous().cpu()
            found[-1] += int(some.view(torch.uint8).sum()) % _MODULUS  # exact in any order
    return found


def _check_marks(sums: Collection[float], squares: Collection[float], count: int) -> None:
    """Check that all processes gave the same numbers: then the mean square is the squared mean."""
    if any(count * square != total**2 for total, square in zip(sums, squares, strict=True)):
        raise InputError(
            "processes were given different batches of a step; expected the same batch on each, "
            "which is divided among them: give the same data on every process, in the same order "
            "(a DataLoader without DistributedSampler), or name the rows that a process has: "
            '{"inputs": ..., "targets": ..., "share": (first, end, rows of all)}'
        )
