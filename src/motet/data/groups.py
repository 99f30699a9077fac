"""Rows that belong together, such as the results of one query, which no batch may cut.

A group is never cut. One that is larger than a batch is a batch of its own; every other batch has
at most the rows asked for, and the number of batches is the same in every epoch, so that schedules
know it in advance. All numbers here are on the CPU.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from motet.seeds import derive


class RowGroups:
    """Which of N rows belong together.

    Args:
        members: Numbers of the groups of the rows, (N,) each; negative where a row stands alone.
            With several, rows that share a group in any of them, also through others, are together.

    Example:
        >>> groups = RowGroups([torch.tensor([7, 3, 7, 7, -1, 3])])
        >>> [rows.tolist() for rows in groups.in_order(4)]
        [[0, 2, 3], [1, 5, 4]]
        >>> groups.steps(6), groups.steps(4)
        (1, 3)
    """

    def __init__(self, members: Sequence[Tensor]) -> None:
        first, *others = (_distinct(each.detach().cpu()) for each in members)
        for each in others:
            first = _connected(first, each)
        numbers = _by_first_row(first)
        self._rows = numbers.argsort(stable=True)
        self._sizes = torch.bincount(numbers)
        self._starts = self._sizes.cumsum(0) - self._sizes
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def of_rows(self, rows: Tensor) -> "RowGroups":
        """Return the groups of some rows."""
        return RowGroups([self._numbers[rows.cpu()]])

    def steps(self, size: int) -> int:
        """Return how many batches of at most ``size`` rows an epoch has."""
        halves, thirds = _large(self._sizes, size)
        small = self._sizes[~(halves | thirds)]
        return int(halves.sum()) - (-int(thirds.sum()) // 2) + _batches(small, size)

    def epoch(self, size: int, *, seed: int, number: int) -> list[Tensor]:
        """Draw the batches of an epoch of training, which depend on (seed, epoch) alone.

        The groups are shuffled. Those of more than half a batch are alone in theirs, those of more
        than a third are two in a batch; all others are dealt out, one after the other, to batches
        of about equal size.

        Args:
            size: Most rows of a batch, unless one group has more.
            seed: With ``number`` decides the order.
            number: Number of the epoch.

        Returns:
            The row numbers of each batch, int64.
        """
        generator = torch.Generator().manual_seed(derive(seed, "groups", number))
        order = torch.randperm(len(self._sizes), generator=generator)
        halves, thirds = _large(sizes := self._sizes[order], size)
        rest = sizes.where(~(halves | thirds), 0)
        count = _batches(rest, size)
        batch = _dealt(rest, count)
        batch[halves] = count + torch.arange(int(halves.sum()))
        count += int(halves.sum())
        batch[thirds] = count + torch.arange(int(thirds.sum())) // 2
        count -= -int(thirds.sum()) // 2
        place = torch.randperm(count, generator=generator)
        return self._split(order, place[batch], count)

    def in_order(self, size: int) -> list[Tensor]:
        """Return the batches of an evaluation: groups in the order of their first rows.

        Args:
            size: Most rows of a batch, unless one group has more.

        Returns:
            The row numbers of each batch, int64.
        """
        ends = self._sizes.cumsum(0)
        cuts, start = [0], 0
        while start < len(self):
            place = int(torch.searchsorted(ends, start + size, right=True))
            place = max(place, int(torch.searchsorted(ends, start, right=True)) + 1)
            start = int(ends[place - 1])
            cuts.append(start)
        return [self._rows[a:b] for a, b in pairwise(cuts)]

    def pieces(self, count: int) -> list[Tensor]:
        """Split all rows into at most ``count`` pieces of about equal size.

        Returns:
            The row numbers of each piece, int64, none of them empty.
        """
        order = torch.arange(len(self._sizes))
        return [rows for rows in self._split(order, _dealt(self._sizes, count), count) if len(rows)]

    def _split(self, order: Tensor, batch: Tensor, count: int) -> list[Tensor]:
        """Return the rows of each batch, of groups in an order, each with its batch (G,)."""
        by_batch = batch.argsort(stable=True)
        groups = order[by_batch]
        sizes = self._sizes[groups]
        first = sizes.cumsum(0) - sizes
        places = torch.arange(len(self)) - first.repeat_interleave(sizes)
        rows = self._rows[self._starts[groups].repeat_interleave(sizes) + places]
        totals = torch.zeros(count, dtype=torch.long).index_add(0, batch[by_batch], sizes)
        return list(torch.split(rows, totals.tolist()))


def _large(sizes: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return which groups have more than half of a batch's rows, and which others over a third.

    None do if one batch holds all rows.
    """
    if int(sizes.sum()) <= size:
        return sizes < 0, sizes < 0
    halves = 2 * sizes > size
    return halves, ~halves & (3 * sizes > size + 1)


def _batches(sizes: Tensor, size: int) -> int:
    """Return among how many batches `_dealt` can divide small groups (at most a third each).

    Rows of a batch are fewer than those of all by the number of batches, plus the largest group.
    """
    total = int(sizes.sum())
    if total <= size:
        return int(total > 0)
    return -(-total // (size + 1 - int(sizes.max())))


def _dealt(sizes: Tensor, count: int) -> Tensor:
    """Return the batch of each group, by the place of its middle among all rows."""
    total = max(int(sizes.sum()), 1)
    middles = 2 * sizes.cumsum(0) - sizes  # twice, to be whole numbers
    return middles * count // (2 * total)


def _distinct(numbers: Tensor) -> Tensor:
    """Return numbers from 0 for the same groups, each row that stands alone with one of its own."""
    alone = ~(numbers >= 0)  # NaN too
    known, place = torch.unique(numbers.where(~alone, 0), return_inverse=True)
    found: Tensor = place.where(~alone, len(known) + torch.arange(len(numbers)))
    return found


def _connected(one: Tensor, other: Tensor) -> Tensor:
    """Return groups such that rows share one if they share one of either, also through others."""
    while True:
        before = one
        for each in (other, before):
            lowest = one.new_full((int(each.max()) + 1,), len(one) * 2)
            one = lowest.scatter_reduce(0, each, one, "amin")[each]
        if bool((one == before).all()):
            return one


def _by_first_row(numbers: Tensor) -> Tensor:
    """Number groups from 0 in the order of their first rows."""
    known, place = torch.unique(numbers, return_inverse=True)
    first = torch.full((len(known),), len(numbers))
    first = first.scatter_reduce(0, place, torch.arange(len(numbers)), "amin")
    found: Tensor = first.argsort().argsort()[place]
    return found
