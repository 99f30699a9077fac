"""Batches of data by their number, pass after pass, each pass in an order of its own."""

from collections.abc import Iterator
from typing import Any

from motet.data.batches import Data


class Cycle:
    """The batches of passes through data, numbered from 0; fast for consecutive numbers.

    Every pass has each row once, in an order drawn from (seed, number of the pass).

    Args:
        data: The rows.
        size: Rows per batch.
        seed: Seed of the orders.
    """

    def __init__(self, data: Data, size: int, seed: int) -> None:
        self._data, self._size, self._seed = data, size, seed
        self.batches = data.steps(size)
        """Number of batches of a pass."""
        self._next = -1
        self._rest: Iterator[Any] = iter(())

    def at(self, number: int) -> Any:
        """Return a batch; one that does not follow the last costs a new start inside its pass."""
        passes, done = divmod(number, self.batches)
        if number != self._next or not done:
            self._rest = self._data.epoch(self._size, seed=self._seed, number=passes, done=done)
        self._next = number + 1
        return next(self._rest)
