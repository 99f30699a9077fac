"""Rows of different length, such as the tokens of texts, in one flat tensor.

A batch is padded to its own longest row, so its cost is that of its rows; batches of rows of
similar length (`bucketed`) contain little padding.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from motet.problems import InputError
from motet.seeds import derive

POOL = 50
"""Batches whose rows are sorted by length together: more means less padding, less randomness."""


class Ragged:
    """N rows of numbers, each of its own length; slicing and indexing give padded tensors.

    Args:
        values: All rows one after the other, (sum of lengths,), or vectors (sum of lengths, D).
        lengths: Number of values of each row, (N,).
        fill: Value of padding; among whole numbers, one that no row contains.

    Raises:
        InputError: If the lengths do not add up to the values.

    Example:
        >>> tokens = Ragged.of([[5, 6, 7], [8], []], fill=0)
        >>> tokens[0:2]
        tensor([[5, 6, 7],
                [8, 0, 0]])
        >>> tokens.index_select(0, torch.tensor([2, 1]))
        tensor([[0],
                [8]])
    """

    def __init__(self, values: Tensor, lengths: Tensor, fill: int) -> None:
        if int(lengths.sum()) != len(values):
            raise InputError(
                f"the lengths of {len(lengths):,} rows add up to {int(lengths.sum()):,}, "
                f"but there are {len(values):,} values"
            )
        self.values, self.lengths, self.fill = values, lengths, fill
        self._starts = lengths.cumsum(0) - lengths

    @staticmethod
    def of(rows: Sequence[Sequence[int]], fill: int) -> "Ragged":
        """Concatenate rows of whole numbers."""
        flat = torch.tensor([value for row in rows for value in row], dtype=torch.long)
        return Ragged(flat, torch.tensor([len(row) for row in rows], dtype=torch.long), fill)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, rows: slice) -> Tensor:
        return self._padded(self._starts[rows], self.lengths[rows])

    def index_select(self, dim: int, rows: Tensor) -> Tensor:
        """Return rows (B,) as a tensor (B, L, ...), padded to the longest and at least to 1."""
        assert dim == 0
        return self._padded(self._starts[rows], self.lengths[rows])

    def take(self, rows: Any, axis: int = 0) -> "Ragged":
        """Return some rows as rows of different length again, as `numpy.ndarray.take` does."""
        assert axis == 0
        chosen = torch.as_tensor(rows, device=self.device).long()
        starts, lengths = self._starts[chosen], self.lengths[chosen]
        first = (lengths.cumsum(0) - lengths).repeat_interleave(lengths)
        places = torch.arange(int(lengths.sum()), device=self.device) - first
        values = self.values[starts.repeat_interleave(lengths) + places]
        return Ragged(values, lengths, self.fill)

    def to(self, device: torch.device | str) -> "Ragged":
        """Return the same rows on a device."""
        return Ragged(self.values.to(device), self.lengths.to(device), self.fill)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the values."""
        return self.values.dtype

    @property
    def device(self) -> torch.device:
        """Where the rows are."""
        return self.values.device

    def _padded(self, starts: Tensor, lengths: Tensor) -> Tensor:
        longest = max(1, int(lengths.max())) if len(lengths) else 1  # a device sync
        places = torch.arange(longest, device=self.device)
        shape = (len(lengths), longest, *self.values.shape[1:])
        padded = self.values.new_full(shape, self.fill)
        real = places < lengths[:, None]
        padded[real] = self.values[(starts[:, None] + places)[real]]
        return padded


def bucketed(order: Tensor, lengths: Tensor, size: int, seed: int, epoch: int) -> Tensor:
    """Rearrange an order of rows so that those of a batch have similar lengths.

    Within every `POOL` batches rows are sorted by length, and the batches then shuffled; their
    order depends on (seed, epoch) alone.

    Args:
        order: Row numbers (N,), at random.
        lengths: Length of every row (N,).
        size: Rows per batch.
        seed: With ``epoch`` decides the order of the batches.
        epoch: Number of the epoch.

    Returns:
        The same row numbers; only the last batch has fewer than ``size``.
    """
    generator = torch.Generator().manual_seed(derive(seed, "buckets", epoch))
    pools = []
    for start in range(0, len(order), POOL * size):
        pool = order[start : start + POOL * size]
        by_length = pool[lengths[pool].argsort(stable=True)]
        whole = len(pool) // size * size
        short = len(pool) - whole  # the shortest rows of the last pool are its smaller batch
        batches = by_length[short:].reshape(-1, size)
        shuffled = batches[torch.randperm(len(batches), generator=generator)]
        pools += [shuffled.flatten(), by_length[:short]]
    return torch.cat(pools) if pools else order
