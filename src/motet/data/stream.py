"""Rows on disk as training takes them: batches of an epoch in the order of lanes, read ahead."""

from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from copy import copy
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from motet.data.ahead import ahead
from motet.data.arrays import IMAGES_AHEAD
from motet.data.batches import Batch, Check, Learn, S
from motet.data.blocks import Blocks, Reader
from motet.data.images.stored import followed, with_draws
from motet.data.lanes import BUFFER, LANES, LaneOrder, Piece
from motet.data.learner import ROWS_AT_ONCE, Learner
from motet.data.ragged import POOL
from motet.data.tensors import row_lengths
from motet.problems import InputError

T = TypeVar("T")


class StreamData:
    """Encoded rows in a file, of which a few thousand are in memory at a time.

    The order of an epoch is that of `motet.data.lanes.LaneOrder`, and resumes at any batch without
    reading what was done. A thread reads and joins the rows of the next window while the batches of
    the last one are computed.

    Args:
        blocks: The rows; their leaves are below "inputs", "targets" and "weights".
        lanes: Number of lanes.
        buffer: Rows that are shuffled together.
        rank: Number of this process.
        processes: Number of processes, which divide the lanes.
        device: Device of the batches.

    Raises:
        InputError: If the lanes cannot be divided.
    """

    def __init__(
        self,
        blocks: Blocks,
        *,
        lanes: int = LANES,
        buffer: int = BUFFER,
        rank: int = 0,
        processes: int = 1,
        device: torch.device | str | None = None,
    ) -> None:
        if lanes % processes:
            raise InputError(
                f"found {lanes} lanes and {processes} processes; expected a multiple of their "
                "number",
                option="lanes",
            )
        self._blocks, self._lanes, self._buffer = blocks, lanes, buffer
        self._rank, self._processes, self._device = rank, processes, device
        self.checked = False
        """Whether training has checked the rows."""
        self._check: Check | None = None
        self._learn: Learn = {}
        self._learned: dict[str, Any] | None = None

    def __len__(self) -> int:
        return len(self._blocks)

    @property
    def labelled(self) -> frozenset[str]:
        """Names of the tasks that have targets."""
        return self._names("targets")

    @property
    def named(self) -> frozenset[str]:
        """The same: tasks without labels are not stored."""
        return self.labelled

    @property
    def weighted(self) -> frozenset[str]:
        """Names of the tasks that have weights."""
        return self._names("weights")

    def inspect(self, check: Check | None, learn: Learn) -> None:
        """Choose what one pass through all rows does, which comes before they are first used.

        Args:
            check: Called with some thousand rows at a time.
            learn: What `label_statistics` will be asked for.
        """
        self._check, self._learn, self._learned = check, learn, None

    def first_pass(self) -> None:
        """Check all rows, and learn from their labels, unless that is done."""
        if self._learned is not None:
            return
        learners = {task: Learner(learn) for task, learn in self._learn.items()}
        only = () if self._check else ("targets", "weights")
        with self._blocks.reader() as reader:
            for batch in self._in_order(reader, ROWS_AT_ONCE, only):
                assert batch.rows is not None
                if self._check is not None:
                    self._check(batch, f"rows from {int(batch.rows[0]):,} on")
                for task, learner in learners.items():
                    if (target := batch.targets.get(task)) is not None:
                        learner.add(target, batch.weights.get(task))
        self._learned = {task: each.statistics() for task, each in learners.items()}

    def label_statistics(self, of: Mapping[str, Callable[..., S]]) -> dict[str, S]:
        """Return what is learned from the labels of tasks; see `Data`."""
        if self._learned is None or any(
            self._learn.get(task) != learn for task, learn in of.items()
        ):
            self.inspect(self._check if self._learned is None else None, of)
        self.first_pass()
        assert self._learned is not None
        return {task: self._learned[task] for task in of if self._learned[task] is not None}

    def steps(self, size: int) -> int:
        """Return how many batches of ``size`` rows an epoch has, the last perhaps smaller."""
        return -(-len(self) // size)

    def epoch(self, size: int, *, seed: int, number: int, done: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch of training, as far as they are of this process.

        Args:
            size: Rows per batch of all processes; the last may have fewer.
            seed: With ``number`` decides the order.
            number: Number of the epoch.
            done: Number of batches to skip.

        Yields:
            Batches on the device of the data. If rows have different lengths, those of a batch have
            similar lengths.
        """
        order = LaneOrder(
            self._blocks.sizes,
            size,
            seed=seed,
            epoch=number,
            lanes=self._lanes,
            buffer=self._buffer,
        )
        numbers = range(order.window_of(done), order.windows)
        with closing(self._ahead(lambda reader: self._windows(reader, order, numbers))) as ready:
            yield from self._ready(self._batches(ready, order, size, (seed, number), done))

    def _batches(
        self,
        windows: Iterator[tuple[int, Batch, Sequence[Tensor]]],
        order: LaneOrder,
        size: int,
        drawn: tuple[int, int],
        done: int,
    ) -> Iterator[Batch]:
        """Yield the batches of windows, from number ``done`` on, augmented by (seed, epoch)."""
        for first, rows, places in windows:
            rows = replace(rows, inputs=with_draws(rows.inputs, *drawn, rows.rows))
            for batch, own in enumerate(places, first):
                if batch >= done:
                    taken, share = rows.take(own), self._share(order, size, batch)
                    targets = followed(taken.targets, rows.inputs, own)
                    yield replace(taken, targets=targets, share=share).to(self._device)

    def _ready(self, items: Iterator[T]) -> Iterator[T]:
        """Make items ahead in a thread if they have images."""
        return ahead(items, IMAGES_AHEAD) if self._blocks.images else items

    def once(self, size: int) -> Iterator[tuple[Tensor | None, Batch]]:
        """Yield every row once, in the order of the file; see `Data`.

        Among some thousand rows, those of different length come longest first.
        """
        chunk = size * max(1, min(POOL, self._buffer // size))
        with closing(self._ahead(lambda reader: self._in_order(reader, chunk))) as ready:
            yield from self._ready(self._once(ready, size))

    def _once(self, chunks: Iterator[Batch], size: int) -> Iterator[tuple[Tensor | None, Batch]]:
        for rows in chunks:
            lengths = row_lengths(rows.inputs)
            if lengths is None:
                for start in range(0, len(rows), size):
                    yield None, rows.cut(start, start + size).to(self._device)
                continue
            for own in torch.split(lengths.argsort(descending=True, stable=True), size):
                batch = rows.take(own)
                yield batch.rows, batch.to(self._device)

    def to(self, device: torch.device | str) -> "StreamData":
        """Return the same rows, whose batches are moved to a device as they come."""
        moved = copy(self)
        moved._device = device
        return moved

    @property
    def _own(self) -> range:
        """The lanes of this process."""
        count = self._lanes // self._processes
        return range(self._rank * count, (self._rank + 1) * count)

    def _share(self, order: LaneOrder, size: int, batch: int) -> tuple[int, int, int] | None:
        """Return which rows of a batch this process has; see `Batch.share`."""
        if self._processes == 1:
            return None
        rows = min(size, len(self) - batch * size)
        own = order.shares(self._own)[rows < size]
        return own.start, own.stop, rows

    def _windows(
        self, reader: Reader, order: LaneOrder, numbers: range
    ) -> Iterator[tuple[int, Batch, Sequence[Tensor]]]:
        """Yield the number of the first batch of each window, its rows, and those of each batch."""
        for number in numbers:
            window = order.window(number, self._own)
            rows = self._read(reader, window.pieces or [Piece(0, 0, 0)])
            lengths = row_lengths(rows.inputs)
            places = window.order(None if lengths is None else lengths.numpy())
            yield window.first, rows, torch.split(torch.from_numpy(places), window.sizes)

    def _in_order(self, reader: Reader, size: int, only: Collection[str] = ()) -> Iterator[Batch]:
        """Yield all rows in the order of the file, so many at a time."""
        for start in range(0, len(self), size):
            pieces = self._blocks.pieces(start, min(start + size, len(self)))
            yield self._read(reader, pieces, only)

    def _read(self, reader: Reader, pieces: Sequence[Piece], only: Collection[str] = ()) -> Batch:
        found = reader.rows(pieces, only)
        numbers = torch.from_numpy(self._blocks.numbers(pieces))
        targets, weights = found.get("targets", {}), found.get("weights", {})
        inputs = found.get("inputs", {"": numbers})
        return Batch(inputs, targets, numbers, weights=weights).tensors()

    def _ahead(self, read: Callable[[Reader], Iterator[T]]) -> Generator[T]:
        """Yield what a function reads, one item ahead."""
        with self._blocks.reader() as reader, closing(ahead(read(reader))) as ready:
            yield from ready

    def _names(self, kind: str) -> frozenset[str]:
        return frozenset(leaf.path[1] for leaf in self._blocks.leaves if leaf.path[0] == kind)
