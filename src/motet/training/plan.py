"""What one step computes: the parts of a plan, each one forward pass."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from torch import Tensor

from motet.data.batches import Batch
from motet.data.groups import RowGroups
from motet.data.joining import Rows
from motet.model import count_of
from motet.tasks import Task


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
    """Rows that no piece may separate, if there are micro-batches."""
    rows: Rows | None = None
    """The rows of each task, where the batch has those of several sources; its targets are of these
    rows alone."""

    def count(self, task: Task) -> Tensor | None:
        """Return what the loss of a task will be divided by (); None without a target."""
        return count_of(task, self.batch.targets, self.batch.weights)

    def cut(self, count: int) -> list["Part"]:
        """Split the rows into pieces of equal size, the last smaller, or of whole ``groups``."""
        rows = len(self.batch)
        if self.groups is not None:
            pieces = self.groups.pieces(count)
            return [replace(self, batch=self.batch.take(each), groups=None) for each in pieces]
        size = max(-(-rows // count), 1)
        return [
            replace(self, batch=self.batch.cut(start, start + size))
            for start in range(0, rows, size)
        ]


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
                rows[task] = rows.get(task, 0) + len(part.batch if target is None else target)
        for task, number in rows.items():
            before = scheduled.get(task, (0, 0))
            scheduled[task] = [before[0] + 1, before[1] + number]

    def first(self) -> "Plan":
        """Return the plan of the first micro-batch alone, without parts beside."""
        return Plan(self.step, next(iter(self.pieces()), ()))
