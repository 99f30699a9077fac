"""An epoch in which every task has batches of its own: rows that have its label.

At each step there is one batch for each task, in a fixed order of tasks, and all of them have the
same number of rows. The epoch ends when every row of the largest task was used once. The rows of
the other tasks are used again until then, in a new order each time, so that none is used a second
time before all others were used once.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from motet.data.arrays import ArrayData
from motet.data.batches import Batch
from motet.data.ragged import bucketed
from motet.data.tensors import row_lengths
from motet.problems import InputError
from motet.seeds import derive


class OwnRows:
    """The batches of each task's own rows.

    Args:
        data: The rows.
        rows: For each task the numbers of the rows that have its label, (n,), at least one.
        size: Rows per step, of all tasks together.

    Raises:
        InputError: If ``size`` has not one row for each task, or rows cannot be separated.

    Example:
        >>> data = ArrayData(torch.arange(6.0), {"a": torch.arange(6), "b": torch.arange(6)})
        >>> rows = OwnRows(data, {"a": torch.arange(4), "b": torch.tensor([4, 5])}, size=4)
        >>> batches = list(rows.epoch(seed=0, number=0))
        >>> [sorted(batch.rows.tolist()) for batch in batches[1::2]]
        [[4, 5], [4, 5]]
        >>> rows.ratios()
        {'a': 1.0, 'b': 2.0}
    """

    def __init__(self, data: ArrayData, rows: Mapping[str, Tensor], size: int) -> None:
        self._data, self._rows = data, {task: each.cpu() for task, each in rows.items()}
        self.size = size // len(rows)
        """Rows of each task per step."""
        if not self.size:
            raise InputError(
                f"found {size}; expected at least {len(rows)}, as each task gets an "
                "equal part of the batch",
                option="batch_size",
            )
        if data.groups is not None:
            raise InputError(
                "rows that belong together, such as those of a query, cannot be chosen by their "
                "labels; choose another scheduler than task_balanced"
            )
        self._most = max(map(len, self._rows.values()))

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return -(-self._most // self.size)

    @property
    def batches(self) -> int:
        """Batches of an epoch: one for each step and task."""
        return self.steps * len(self._rows)

    def ratios(self) -> dict[str, float]:
        """Return how often a row of each task is used while one of the largest is used once."""
        return {task: self._most / len(rows) for task, rows in self._rows.items()}

    def epoch(self, *, seed: int, number: int, done: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, one for each task in turn.

        Args:
            seed: With ``number`` decides the order.
            number: Number of the epoch.
            done: Number of batches to skip, as they were trained on before.

        Yields:
            One batch after the other, on the device of the data.
        """
        steps = done // len(self._rows)
        orders = [self._order(task, seed, number)[steps * self.size :] for task in self._rows]
        data = self._data.augmented(seed, number)
        batches = [data.batches(self.size, order) for order in orders]
        for step in zip(*batches, strict=True):
            yield from step

    def _order(self, task: str, seed: int, number: int) -> Tensor:
        """Return the rows of a task for a whole epoch, as many as the largest task has."""
        rows = self._rows[task]
        passes = []
        for again in range(-(-self._most // len(rows))):
            drawn = torch.Generator().manual_seed(derive(seed, f"order/{task}/{again}", number))
            passes.append(rows[torch.randperm(len(rows), generator=drawn)])
        order = torch.cat(passes)[: self._most]
        lengths = row_lengths(self._data.inputs)
        if lengths is None:
            return order
        return bucketed(order, lengths.cpu(), self.size, derive(seed, task), number)
