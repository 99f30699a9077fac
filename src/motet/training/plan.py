"""What one step computes: the parts of a plan, each one forward pass.

A plan is of the rows of all processes, and alike on each. `Part.of` is where its rows are divided.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest

import torch
from torch import Tensor

from motet.data.batches import Batch
from motet.data.groups import RowGroups
from motet.data.joining import Rows
from motet.model import count_of
from motet.processes import Processes
from motet.tasks import Task


@dataclass(frozen=True)
class Share:
    """Which rows of a forward pass one process computes."""

    places: slice | Tensor
    """The places of its rows among those of all processes."""
    rows: int
    """Number of rows of all processes."""


@dataclass(frozen=True)
class Part:
    """One forward pass: some rows, and the tasks that are computed on them."""

    batch: Batch
    tasks: Sequence[str]
    name: str = ""
    """What else its random numbers depend on: the auxiliary task that made the rows, the source of
    the rows; empty for the first batch of rows as the data have them."""
    weight: float = 1.0
    """Weight of its losses where no balancer weights them."""
    groups: RowGroups | None = None
    """Rows that no piece may separate, if there are micro-batches or several processes."""
    rows: Rows | None = None
    """The rows of each task, where the batch has those of several sources; its targets are of these
    rows alone."""
    share: Share | None = None
    """Which rows these are, where each process has its own."""
    shares: Mapping[str, Share] = field(default_factory=dict)
    """The same for the ``rows`` of each task."""

    def __len__(self) -> int:
        """Return the number of rows that this process computes."""
        return len(self.batch)

    def count(self, task: Task) -> Tensor | None:
        """Return what the loss of a task will be divided by (); None without a target."""
        return count_of(task, self.batch.targets, self.batch.weights)

    def cut(self, count: int) -> list["Part"]:
        """Split the rows into pieces of equal size, the last smaller, or of whole ``groups``."""
        rows = self.batch.rows_of_all
        if self.groups is not None:
            return [
                replace(self, batch=self.batch.take(each), groups=self.groups.of_rows(each))
                for each in self.groups.pieces(count)
            ]
        size = max(-(-rows // count), 1)
        return [
            replace(self, batch=self.batch.cut(start, start + size))
            for start in range(0, rows, size)
        ]

    def of(self, processes: Processes) -> "Part":
        """Return the rows that this process computes, perhaps none; whole ``groups``."""
        if not processes.several:
            return self
        rows = len(self.batch)
        if self.batch.share is not None:
            start, end, rows = self.batch.share
            return replace(self, share=Share(slice(start, end), rows))
        if self.groups is not None:
            pieces = self.groups.pieces(processes.count)
            none = torch.zeros(0, dtype=torch.long)
            own = pieces[processes.rank] if processes.rank < len(pieces) else none
            return replace(self, batch=self.batch.take(own), groups=None, share=Share(own, rows))
        places = processes.share(rows)
        if self.rows is not None:
            return self._of_sources(self.rows, places)
        batch = self.batch.cut(places.start, places.stop)
        return replace(self, batch=batch, share=Share(places, rows))

    def _of_sources(self, rows: Rows, places: slice) -> "Part":
        """Return the same where tasks have rows of their own, which their targets are of."""
        batch, found, shares = self.batch, {}, {}
        targets, weights, soft = dict(batch.targets), dict(batch.weights), dict(batch.soft)
        for task, selected in rows.items():
            target = targets[task]
            assert target is not None
            found[task], kept = _within(selected, places)
            shares[task] = Share(kept, len(target))
            targets[task] = target[kept]
            if (own := weights.get(task)) is not None:
                weights[task] = own[kept]
            if (taught := soft.get(task)) is not None:
                soft[task] = taught[kept]
        cut = replace(batch, targets={}, weights={}, soft={}).cut(places.start, places.stop)
        cut = replace(cut, targets=targets, weights=weights, soft=soft)
        share = Share(places, len(batch))
        return replace(self, batch=cut, rows=found, share=share, shares=shares)


def _within(rows: slice | Tensor, places: slice) -> tuple[slice | Tensor, slice | Tensor]:
    """Return those of some rows that are at some places: counted from there, and among the rows."""
    if isinstance(rows, Tensor):
        kept = ((rows >= places.start) & (rows < places.stop)).nonzero()[:, 0]
        return rows[kept] - places.start, kept
    start = min(max(rows.start, places.start), places.stop)
    end = max(min(rows.stop, places.stop), start)
    if start == end:
        return slice(0), slice(0)
    first = places.start, rows.start
    here, kept_here = (slice(start - each, end - each) for each in first)
    return here, kept_here


@dataclass(frozen=True)
class Plan:
    """The parts of one step.

    The graphs of the balanced parts are kept, and one call of `motet.backward` serves all of them.
    Parts beside the balancer have a backward pass of their own, which adds to ``.grad``.
    """

    step: int
    """Steps made before."""
    balanced: Sequence[Part]
    beside: Sequence[Part] = ()
    micro_batches: int = 1
    """Number of pieces that each part is split into, of which one is computed at a time."""
    drawn: Sequence[Batch] = ()
    """The batches of several sources."""

    def pieces(self) -> Sequence[Sequence[Part]]:
        """Return the balanced parts of each micro-batch."""
        if self.micro_batches == 1:
            return [self.balanced]
        cut = [part.cut(self.micro_batches) for part in self.balanced]
        return [[part for part in parts if part is not None] for parts in zip_longest(*cut)]

    def count(self, scheduled: dict[str, list[int]]) -> None:
        """Add this step, and the rows of its batches, to the numbers of each of its tasks."""
        rows: dict[str, int] = {}
        for part in (*self.balanced, *self.beside):
            for task in part.tasks:
                target = None if part.rows is None else part.batch.targets[task]
                number = part.batch.rows_of_all if target is None else len(target)
                rows[task] = rows.get(task, 0) + number
        for task, number in rows.items():
            before = scheduled.get(task, (0, 0))
            scheduled[task] = [before[0] + 1, before[1] + number]

    def first(self) -> "Plan":
        """Return the plan of the first micro-batch alone, without parts beside."""
        return Plan(self.step, next(iter(self.pieces()), ()))


def tasks_of(parts: Iterable[Part]) -> list[str]:
    """Return the tasks of some parts, each once."""
    return list(dict.fromkeys(task for part in parts for task in part.tasks))
