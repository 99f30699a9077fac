"""Task gradients in one matrix: one flat row per task, T' x P numbers in one buffer.

Memory: the buffer is the one large thing that a Gramian or Jacobian balancer adds to a step.
"""

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from motet.balancing.engine.embedding_tables import Table
from motet.balancing.engine.grad import sparse_gradient
from motet.balancing.engine.linear_layers import Layer
from motet.balancing.engine.shares import Shares
from motet.processes import Processes

_BLOCK = 1 << 12
"""Products that are added up in the precision of the rows; their sums are, in float64."""


class GradientRows:
    """Gradients of T' tasks on some leaves.

    Attributes:
        processes: Those among which the columns are divided.

    Args:
        leaves: The P numbers that the gradients are with respect to.
        tasks: Names of the rows.
        memory: Numbers to write to, if there are enough of the right kind.
        layers: Layers for which a row has cotangents in place of gradients, after the leaves.
        tables: Embedding tables for which a row has the gradients of the rows used, before those.
    """

    processes = Processes()

    def __init__(
        self,
        leaves: Sequence[Tensor],
        tasks: Sequence[str],
        memory: Tensor | None = None,
        layers: Sequence[Layer] = (),
        tables: Sequence[Table] = (),
    ) -> None:
        self.leaves = list(leaves)
        self.tasks = list(tasks)
        self.layers = list(layers)
        self.tables = list(tables)
        compact: list[Table | Layer] = [*self.tables, *self.layers]
        self._shapes = [*self.shapes_of(leaves), *(each.shape for each in compact)]
        self.reached = [[False] * len(self._shapes) for _ in self.tasks]
        """Which leaves, then which tables and layers, each task reaches."""
        self.sparse: dict[tuple[int, int], Tensor] = {}
        """By task and place, the indices of the gradients of a leaf that are sparse."""
        self.shares: Shares | None = None
        """Where rows are sent to other processes, in order, as soon as they are filled."""
        self.edges = [edge for each in compact for edge in each.edges]
        """Where cotangents are read for the tables, then for the layers."""
        dtype, device = torch.float32, None
        for leaf in [*self.leaves, *(each.weight for each in compact)]:
            dtype, device = torch.promote_types(dtype, leaf.dtype), leaf.device
        self._sizes = [math.prod(shape) for shape in self._shapes]
        first = len(self.leaves) + len(self.tables)  # layer
        self._places = [*range(len(self.leaves)), *range(first, len(self._sizes))]
        width = sum(self._sizes)
        count = len(self.tasks) * width
        if (
            memory is None
            or (memory.dtype, memory.device) != (dtype, device)
            or len(memory) < count
        ):
            memory = torch.empty(count, dtype=dtype, device=device)
        self.memory = memory
        self.jacobian = memory[:count].view(len(self.tasks), width)

    def like(self, leaves: Sequence[Tensor], tasks: Sequence[str]) -> "GradientRows":
        """Return rows of the same kind, yet to be filled."""
        return GradientRows(leaves, tasks)

    def shapes_of(self, leaves: Sequence[Tensor]) -> list[torch.Size]:
        """Return the shapes of what a row has of leaves."""
        return [leaf.shape for leaf in leaves]

    @property
    def _widths(self) -> list[int]:
        count = len(self.leaves) + len(self.tables)
        return [sum(self._sizes[:count]), *self._sizes[count:]]

    def fill(
        self,
        task: int,
        gradients: Sequence[Tensor | None],
        scale: float = 1.0,
        lookups: Iterable[Sequence[Tensor | None]] = (),
    ) -> None:
        """Write the gradients of one task.

        Args:
            task: Number of the row.
            gradients: One for each leaf and layer; None where the task does not reach it.
            scale: A factor of all.
            lookups: Cotangents of the lookups in each table.
        """
        row = self.jacobian[task]
        parts = []
        for place, gradient in zip(self._places, gradients, strict=True):
            self.reached[task][place] = gradient is not None
            size = self._sizes[place]
            if gradient is None:
                parts.append(row.new_zeros(size))
            elif gradient.is_sparse:
                self.sparse[task, place] = gradient._indices()
                parts.append(gradient.to_dense().reshape(size))
            else:
                parts.append(gradient.reshape(size))
        if self.tables:
            self._fill_around_tables(task, parts, lookups)
        elif parts:
            torch.cat(parts, out=row)
        if scale != 1.0:
            row.mul_(scale)
        if self.shares is not None:
            self.shares.send(task + 1)

    def _fill_around_tables(
        self, task: int, parts: list[Tensor], lookups: Iterable[Sequence[Tensor | None]]
    ) -> None:
        """Write the flat gradients of leaves and layers, and between them the rows of tables."""
        views, count = self.views(self.jacobian[task]), len(self.leaves)
        for place, (table, given) in enumerate(zip(self.tables, lookups, strict=True), count):
            self.reached[task][place] = any(each is not None for each in given)
            table.add_up(given, views[place])
        start = sum(self._sizes[:count])
        end = start + sum(self._sizes[count : count + len(self.tables)])
        row = self.jacobian[task]
        for some, part in ((parts[:count], row[:start]), (parts[count:], row[end:])):
            if some:
                torch.cat(some, out=part)

    def gramian(self) -> Tensor:
        """Compute the inner products of the rows (T', T'), float64, on the device."""
        leaves, *layers = torch.split(self.jacobian, self._widths, dim=1)
        found = inner_products(leaves)
        if not self.layers:
            return found
        with _full_precision(self.jacobian):
            for layer, cotangents in zip(self.layers, layers, strict=True):
                rotated = layer.rotated(cotangents.view(len(self.tasks), *layer.shape))
                found += rotated @ rotated.T
        return found

    def combine(self, weights: Tensor) -> Tensor:
        """Compute the weighted sum of the rows (P,)."""
        return weighted_sum(weights, self.jacobian)

    def gradients(
        self, direction: Tensor, *, combined: bool = False
    ) -> list[tuple[Tensor, Tensor]]:
        """Return a direction (P,) as gradients of the leaves that some task reaches.

        Args:
            direction: The direction.
            combined: Whether it is a weighted sum of the rows, and so sparse where all of them are.

        Returns:
            Each leaf and its gradient, in memory of the direction or its own.
        """
        reached = [any(column) for column in zip(*self.reached, strict=True)]
        parts = iter(zip(self.views(direction), reached, strict=True))
        found = []
        for leaf, (part, here) in zip(self.leaves, parts, strict=False):
            if here:
                found.append((leaf, part))
        for place in {place for _, place in self.sparse} if combined else ():
            tasks = [task for task, row in enumerate(self.reached) if row[place]]
            if all((task, place) in self.sparse for task in tasks):
                indices = torch.cat([self.sparse[task, place] for task in tasks], dim=1)
                leaf, part = found[sum(reached[:place])]
                found[sum(reached[:place])] = leaf, sparse_like(part, indices)
        for table, (part, here) in zip(self.tables, parts, strict=False):
            if here:
                found.append((table.weight, table.gradient(part)))
        for layer, (part, here) in zip(self.layers, parts, strict=True):
            if here:
                found += zip(layer.leaves, layer.gradients(part), strict=True)
        return found

    def plus(self, other: "GradientRows", order: Sequence[str]) -> "GradientRows":
        """Add the rows of another micro-batch; tasks and leaves may be in one of them alone.

        Returns:
            The sum, its tasks in an ``order``.
        """
        leaves = list({id(leaf): leaf for leaf in [*other.leaves, *self.leaves]}.values())
        tasks = [task for task in order if task in other.tasks or task in self.tasks]
        both = self.like(leaves, tasks)
        both.jacobian.zero_()
        column = {id(leaf): place for place, leaf in enumerate(leaves)}
        for each in (self, other):
            for row, task in enumerate(each.tasks):
                line = tasks.index(task)
                sums = both.views(both.jacobian[line])
                for place, view in enumerate(each.views(each.jacobian[row])):
                    if each.reached[row][place]:
                        there = column[id(each.leaves[place])]
                        sums[there].add_(view)
                        both._note(line, there, each.sparse.get((row, place)))
        return both

    def _note(self, task: int, place: int, indices: Tensor | None) -> None:
        """Record that a gradient was added, with the indices of a sparse one."""
        before = self.sparse.pop((task, place), None)
        if indices is not None and (before is not None or not self.reached[task][place]):
            known = [indices] if before is None else [before, indices]
            self.sparse[task, place] = torch.cat(known, dim=1)
        self.reached[task][place] = True

    def components(self) -> list[list[int]]:
        """Group the rows that reach a common leaf, directly or through others."""
        return components(self.reached)

    def views(self, flat: Tensor) -> list[Tensor]:
        """View P numbers in the shapes of the leaves, rows of tables, and cotangents of layers."""
        parts = torch.split(flat, self._sizes)
        return [part.view(shape) for part, shape in zip(parts, self._shapes, strict=True)]


def inner_products(rows: Tensor) -> Tensor:
    """Compute the inner products of rows (T', P) as (T', T'), float64, on the device."""
    count, number = len(rows), rows.shape[1] // _BLOCK
    found = torch.zeros(count, count, dtype=torch.float64, device=rows.device)
    with _full_precision(rows):
        whole, rest = rows[:, : number * _BLOCK], rows[:, number * _BLOCK :]
        blocks = whole.view(count, number, _BLOCK).transpose(0, 1)
        found += torch.bmm(blocks, blocks.mT).double().sum(dim=0)
        found += rest @ rest.T
    return found


def weighted_sum(weights: Tensor, rows: Tensor) -> Tensor:
    """Compute the weighted sum (P,) of rows (T', P)."""
    with _full_precision(rows):
        return weights.to(rows) @ rows


def components(reached: Sequence[Sequence[bool]]) -> list[list[int]]:
    """Group tasks that reach a common leaf, directly or through others.

    Args:
        reached: For each task, which leaves it reaches.

    Returns:
        Places of the tasks, ascending in each group.
    """
    groups: list[set[int]] = [{task} for task in range(len(reached))]
    for column in set(zip(*reached, strict=True)):
        together = {task for task, here in enumerate(column) if here}
        joined = [group for group in groups if group & together]
        if len(joined) > 1:
            groups = [group for group in groups if group not in joined]
            groups.append(set().union(*joined))
    return sorted(sorted(group) for group in groups)


def sparse_like(values: Tensor, indices: Tensor) -> Tensor:
    """Return a dense gradient as a sparse one with some indices (S, N), 0 elsewhere."""
    used = torch.unique(indices, dim=1)
    return sparse_gradient(used, values[tuple(used)], values.shape)


class _full_precision:  # reads as a statement
    """Keep a matrix product out of TF32, whose rounding would decide signs of inner products."""

    def __init__(self, tensor: Tensor) -> None:
        self._cuda = tensor.is_cuda

    def __enter__(self) -> None:
        if self._cuda:
            self._before = torch.backends.cuda.matmul.allow_tf32
            torch.backends.cuda.matmul.allow_tf32 = False

    def __exit__(self, *exception: object) -> None:
        if self._cuda:
            torch.backends.cuda.matmul.allow_tf32 = self._before
