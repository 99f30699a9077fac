"""The order of the rows of a stream: drawn from (seed, epoch), the same on any number of processes.

Rows are stored in blocks, in the order of their source. An epoch joins the blocks in a random order
and cuts them into lanes, one after the other; a batch takes the next rows of each lane, those of
the first lane first. So processes that divide the lanes among themselves read different blocks, and
their rows together are those of the batch that one process would have. Batches come in windows, as
many as fit into the buffer: the rows of a lane in a window are shuffled as a whole. So any window
is computed without those before it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from motet.seeds import derive

LANES = 8
"""Number of lanes."""
BUFFER = 1 << 17
"""Rows of a window, of all lanes."""

Numbers = NDArray[np.int64]


class Piece(NamedTuple):
    """Consecutive rows of one block."""

    block: int
    start: int
    end: int


@dataclass(frozen=True)
class Window:
    """The rows that some lanes have of consecutive batches."""

    first: int
    """Number of the first batch."""
    pieces: list[Piece]
    """Where the rows are, lane by lane."""
    batches: int
    """Number of whole batches."""
    rows: Numbers
    """Rows that each lane has of a whole batch, (lanes,)."""
    rest: Numbers
    """Rows that each lane has of the smaller batch that follows them."""
    short: bool
    """Whether a smaller batch follows, in which these lanes may have no row."""
    seeds: tuple[int, ...]
    """Of each lane's rows, and of the order of the whole batches."""

    @property
    def sizes(self) -> list[int]:
        """Rows of each batch that the lanes have."""
        rest = [int(self.rest.sum())] if self.short else []
        return [int(self.rows.sum())] * self.batches + rest

    def order(self, lengths: NDArray[Any] | None = None) -> Numbers:
        """Return the places of all rows among those of the pieces, batch by batch: (n,).

        Args:
            lengths: Lengths of the rows (n,); the rows of a batch then have similar lengths, and a
                smaller one the shortest.
        """
        whole: list[Numbers] = []
        rest: list[Numbers] = []
        start = 0
        for rows, more, seed in zip(self.rows, self.rest, self.seeds, strict=False):
            count = int(self.batches * rows + more)
            own = start + _generator(seed).permutation(count)
            if lengths is not None:
                own = own[np.argsort(lengths[own], kind="stable")]
            rest.append(own[:more])
            whole.append(own[more:].reshape(self.batches, rows))
            start += count
        joined = np.concatenate(whole, axis=1)
        if lengths is not None:
            joined = joined[_generator(self.seeds[-1]).permutation(self.batches)]
        return np.concatenate([joined.reshape(-1), *rest]).astype(np.int64)


class LaneOrder:
    """The order of one epoch.

    Args:
        blocks: Rows of each block.
        size: Rows per batch.
        seed: With ``epoch`` decides the order.
        epoch: Number of the epoch.
        lanes: Number of lanes.
        buffer: Rows of a window; one batch at least.

    Example:
        >>> order = LaneOrder([4, 4, 2], 5, seed=0, epoch=0, lanes=2)
        >>> [rows.tolist() for rows in order.rows()]
        [[9, 3, 1, 6, 5], [2, 8, 0, 4, 7]]
    """

    def __init__(
        self,
        blocks: Any,
        size: int,
        *,
        seed: int,
        epoch: int,
        lanes: int = LANES,
        buffer: int = BUFFER,
    ) -> None:
        sizes = np.asarray(blocks, np.int64)
        self._starts = sizes.cumsum() - sizes
        self._order = _generator(derive(seed, "blocks", epoch)).permutation(len(sizes))
        self._ends = sizes[self._order].cumsum()
        total = int(sizes.sum())
        self._seed, self._epoch, self.lanes = seed, epoch, lanes
        self._whole, rest = divmod(total, size)
        self._per_batch, self._rest = _shares(size, lanes), _shares(rest, lanes)
        counts = self._whole * self._per_batch + self._rest
        self._lane_starts = counts.cumsum() - counts
        self._batches = max(1, buffer // size)
        self.windows = max(-(-self._whole // self._batches), min(total, 1))
        """Number of windows."""

    def window_of(self, batch: int) -> int:
        """Return the number of the window that has a batch."""
        return min(batch // self._batches, self.windows - 1)

    def window(self, number: int, own: range | None = None) -> Window:
        """Return one window.

        Args:
            number: Its number.
            own: Which lanes; all if left out.
        """
        lanes = range(self.lanes) if own is None else own
        first = number * self._batches
        batches = min(self._batches, self._whole - first)
        last = number == self.windows - 1
        pieces: list[Piece] = []
        for lane in lanes:
            start = int(self._lane_starts[lane] + first * self._per_batch[lane])
            rest = self._rest[lane] if last else 0
            pieces += self._pieces(start, start + int(batches * self._per_batch[lane] + rest))
        at = slice(lanes.start, lanes.stop)
        seeds = [
            derive(self._seed, f"rows of window {number} lane {n}", self._epoch) for n in lanes
        ]
        seeds.append(derive(self._seed, f"batches of window {number}", self._epoch))
        rests = self._rest[at] if last else np.zeros(len(lanes), np.int64)
        short = last and bool(self._rest.any())
        return Window(first, pieces, batches, self._per_batch[at], rests, short, tuple(seeds))

    def shares(self, own: range) -> tuple[slice, slice]:
        """Return which rows of a whole batch, and of the smaller last one, some lanes have."""
        return _within(self._per_batch, own), _within(self._rest, own)

    def rows(self, own: range | None = None) -> Iterator[Numbers]:
        """Yield the rows of each batch, by their numbers in all blocks; see `window`."""
        for number in range(self.windows):
            window = self.window(number, own)
            each = [np.arange(p.start, p.end) + self._starts[p.block] for p in window.pieces]
            numbers = np.concatenate(each)[window.order()] if each else np.array([], np.int64)
            yield from np.split(numbers, np.cumsum(window.sizes)[:-1])

    def _pieces(self, start: int, end: int) -> Iterator[Piece]:
        """Yield where the rows from ``start`` up to ``end`` of the joined blocks are."""
        place = int(np.searchsorted(self._ends, start, side="right"))
        while start < end:
            block = int(self._order[place])
            stop = int(self._ends[place])
            size = stop - int(self._ends[place - 1]) if place else stop
            upto = min(end, stop)
            yield Piece(block, start - stop + size, upto - stop + size)
            start, place = upto, place + 1


def _shares(total: int, parts: int) -> Numbers:
    """Divide a number into parts that differ by one at most, the first the largest."""
    return total // parts + (np.arange(parts) < total % parts)


def _within(rows: Numbers, own: range) -> slice:
    return slice(int(rows[: own.start].sum()), int(rows[: own.stop].sum()))


def _generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))
