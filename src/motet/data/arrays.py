"""Rows in memory, split into batches by indexing.

A batch costs one ``index_select`` per tensor, and nothing per row; batches in the rows' own order
are views and cost nothing. float32 arrays and tensors are used as they are, without a copy.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from motet.data.ahead import ahead
from motet.data.batches import Batch, S, learn_from
from motet.data.groups import RowGroups
from motet.data.images.stored import followed, images_in, with_draws
from motet.data.ragged import bucketed
from motet.data.tensors import as_tree, count_rows, map_leaves, row_lengths, tensors_of
from motet.processes import ALONE, Processes
from motet.seeds import derive

IMAGES_AHEAD = 2
"""Batches of images that are ready before they are asked for."""


class ArrayData:
    """Inputs and targets of N rows.

    Args:
        inputs: An array or tensor (N, ...), a `motet.data.ragged.Ragged`, whose batches are padded,
            or a `motet.data.images.stored.Images`, which are decoded ahead in a thread; or a
            mapping, perhaps nested, of those. float64 arrays become float32, as models are;
            integers and tensors stay as they are.
        targets: For each task an array, list or tensor (N, ...), None in it meaning missing; a task
            that is None has no labels here.
        weights: For some tasks how much each row counts in the loss, (N,): 0 as if it had no label.
        soft: For some tasks what a teacher predicts, (N, ...); see `Batch`.

    Raises:
        InputError: If something is not an array of numbers, or the numbers of rows differ.

    Example:
        >>> data = ArrayData(torch.eye(5), {"a": [0, 1, 2, 3, 4], "b": None})
        >>> for batch in data.batches(2, order=torch.tensor([4, 3, 2, 1, 0])):
        ...     print(batch.targets)
        {'a': tensor([4, 3])}
        {'a': tensor([2, 1])}
        {'a': tensor([0])}
    """

    def __init__(
        self,
        inputs: Any,
        targets: Mapping[str, Any],
        weights: Mapping[str, Any] | None = None,
        soft: Mapping[str, Any] | None = None,
    ) -> None:
        self.checked = False
        """Whether training has checked the rows."""
        self.groups: RowGroups | None = None
        """Rows that no batch may separate; None if there are none, or training has not asked."""
        self.named = frozenset(targets)
        """The tasks that were given, also those without labels."""
        self.inputs = as_tree(inputs, "inputs")
        self.targets = tensors_of(targets, "targets")
        self.weights = tensors_of(weights or {}, "weights")
        self.soft = tensors_of(soft or {}, "soft")
        self._length = count_rows(self.inputs, self.targets, self.weights, self.soft)
        self._processes = ALONE
        self._has_images = bool(images_in(self.inputs))

    def __len__(self) -> int:
        return self._length

    @property
    def labelled(self) -> frozenset[str]:
        """Names of the tasks that have targets."""
        return frozenset(self.targets)

    @property
    def weighted(self) -> frozenset[str]:
        """Names of the tasks that have weights."""
        return frozenset(self.weights)

    def label_statistics(self, of: Mapping[str, Callable[..., S]]) -> dict[str, S]:
        """Return what is learned from the labels of tasks; see `Data`."""
        return {
            task: learn_from(learn, self.targets[task], self.weights.get(task))
            for task, learn in of.items()
            if task in self.targets
        }

    def steps(self, size: int) -> int:
        """Return how many batches of ``size`` rows there are, the last one perhaps smaller.

        Batches of whole ``groups`` have at most so many rows, see `RowGroups`.
        """
        return -(-len(self) // size) if self.groups is None else self.groups.steps(size)

    def epoch(self, size: int, *, seed: int, number: int, done: int = 0) -> Iterator[Batch]:
        """Split the rows into the batches of an epoch of training.

        If rows have different lengths, those of a batch have similar lengths; see `bucketed`. With
        ``groups``, batches hold whole groups, whatever their lengths.

        Args:
            size: Rows per batch; the last may have fewer.
            seed: With ``number`` decides the order; see `order`.
            number: Number of the epoch.
            done: Number of batches to skip, as they were trained on before.

        Returns:
            The remaining batches.
        """
        return self._ready(self.augmented(seed, number)._epoch(size, seed, number, done))

    def augmented(self, seed: int, number: int) -> "ArrayData":
        """Return the same rows with images as training sees them in an epoch; others as they are.

        Labels per pixel, of (B, H, W) or more axes, move with the images.
        """
        if not self._has_images:
            return self
        made = copy(self)
        made.inputs = with_draws(self.inputs, seed, number)
        return made

    def decoded_by(self, processes: Processes) -> "ArrayData":
        """Return the same rows, of whose images each process decodes those that it computes.

        The batches of an epoch are then shares, see `Batch.share`; those of `once` are computed in
        turns, and have their images as they are where it is the turn of another process. Data
        without images, and rows in ``groups``, stay as they are.
        """
        if not processes.several or self.groups is not None or not self._has_images:
            return self
        made = copy(self)
        made._processes = processes
        return made

    def _epoch(self, size: int, seed: int, number: int, done: int) -> Iterator[Batch]:
        if self.groups is not None:
            return self._taken(self.groups.epoch(size, seed=seed, number=number)[done:])
        order = self.order(seed, number)
        lengths = row_lengths(self.inputs)
        if lengths is not None:
            order = bucketed(order, lengths.cpu(), size, seed, number)
        rows = self._split(size, order[done * size :])
        return self._shares(rows) if self._processes.several else self._taken(rows)

    def batches(self, size: int, order: Tensor | None = None) -> Iterator[Batch]:
        """Split the rows into batches.

        Args:
            size: Rows per batch; the last may have fewer.
            order: Row numbers (n,), each batch takes the next of them; the rows' own order if left
                out, in which case batches are views.

        Yields:
            One batch after the other, on the device of the data.
        """
        yield from self._ready(self._taken(self._split(size, order)))

    def _split(self, size: int, order: Tensor | None = None) -> Iterator[Any]:
        """Yield the rows of each batch: slices in their own order, else tensors."""
        if order is None:
            ends = range(0, len(self), size)
            yield from (slice(start, min(start + size, len(self))) for start in ends)
        elif len(order):
            yield from torch.split(order.to(self.device), size)

    def once(self, size: int) -> Iterator[tuple[Tensor | None, Batch]]:
        """Split all rows into the batches that cost least to compute.

        Rows of different length come longest first: a batch has rows of similar length, so little
        of it is padding, and a lack of memory shows at once. Others keep their order. ``groups``
        are whole, in the order of their first rows.

        Args:
            size: Rows per batch; the last may have fewer.

        Yields:
            The numbers of a batch's rows, int64 on the CPU, or None if they follow the last ones;
            and the batch.
        """
        if self.groups is not None:
            batches = self.groups.in_order(size)
            yield from zip(batches, self._ready(self._taken(batches)), strict=True)
            return
        lengths = row_lengths(self.inputs)
        order = None if lengths is None else lengths.cpu().argsort(descending=True, stable=True)
        rows = self._split(size, order)
        made = self._turns(rows) if self._processes.several else self._taken(rows)
        for number, batch in enumerate(self._ready(made)):
            own = None if order is None else order[number * size : (number + 1) * size]
            yield own, batch

    def order(self, seed: int, epoch: int) -> Tensor:
        """Return the order of an epoch, drawn from (seed, epoch) alone: int64 (N,), on the CPU."""
        generator = torch.Generator().manual_seed(derive(seed, "order", epoch))
        return torch.randperm(len(self), generator=generator)

    def rows(self, indices: Any) -> "ArrayData":
        """Return the rows with these numbers, as a copy."""
        chosen = torch.as_tensor(indices, device=self.device)
        made = self._mapped(lambda values: values.index_select(0, chosen))
        made.groups = None if self.groups is None else self.groups.of_rows(chosen)
        return made

    def to(self, device: torch.device | str) -> "ArrayData":
        """Return the same rows on a device; those already there are not copied."""
        made = self._mapped(lambda values: values.to(device))
        made.groups = self.groups
        return made

    @property
    def device(self) -> torch.device:
        """Where the rows are."""
        tree: Any = self.inputs
        while isinstance(tree, dict):
            tree = next(iter(tree.values()))
        device: torch.device = tree.device
        return device

    def _taken(self, batches: Iterable[Any]) -> Iterator[Batch]:
        return map(self._at, batches)

    def _shares(self, batches: Iterable[Tensor]) -> Iterator[Batch]:
        for rows in batches:
            own = self._processes.share(len(rows))
            yield replace(self._at(rows[own]), share=(own.start, own.stop, len(rows)))

    def _turns(self, batches: Iterable[Any]) -> Iterator[Batch]:
        for number, rows in enumerate(batches):
            if number % self._processes.count == self._processes.rank:
                yield self._at(rows)
            else:
                images, *_ = images_in(self.inputs)
                chosen = rows if isinstance(rows, slice) else rows.cpu()
                yield Batch(images.take(np.arange(len(self))[chosen]), {})

    def _at(self, rows: Any) -> Batch:
        """Return the rows of a slice, as views, or of a tensor of their numbers."""
        if isinstance(rows, slice):
            return self._batch(lambda values: values[rows])
        rows = rows.to(self.device)
        return self._batch(lambda values: values.index_select(0, rows), rows)

    def _ready(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Make batches ahead in a thread if they have images."""
        return ahead(batches, IMAGES_AHEAD) if self._has_images else batches

    def _batch(self, function: Callable[[Any], Any], rows: Tensor | None = None) -> Batch:
        weights = map_leaves(function, self.weights)
        targets = map_leaves(function, self.targets)
        if rows is not None and self._has_images:
            targets = followed(targets, self.inputs, rows)
        soft = map_leaves(function, self.soft) if self.soft else self.soft  # costs no call
        return Batch(map_leaves(function, self.inputs), targets, rows, weights=weights, soft=soft)

    def _mapped(self, function: Callable[[Any], Any]) -> "ArrayData":
        targets = {**dict.fromkeys(self.named), **self.targets}
        return ArrayData(
            map_leaves(function, self.inputs),
            map_leaves(function, targets),
            map_leaves(function, self.weights),
            map_leaves(function, self.soft),
        )
