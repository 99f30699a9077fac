"""Statistics of labels that come in batches."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from motet.data.batches import Mergeable, learn_from
from motet.states import join_rows

ROWS_AT_ONCE = 8192
"""Number of labels per update of the statistics, as a few rows cost as much."""


class Learner:
    """Learns from the labels of one task in batches, some thousand rows at a time."""

    def __init__(self, learn: Callable[..., Mergeable]) -> None:
        self._learn = learn
        self._found: Any = None
        self._waiting: list[tuple[Tensor, Tensor | None]] = []
        self._rows = 0

    def add(self, target: Tensor, weights: Tensor | None) -> None:
        self._waiting.append((target, weights))
        self._rows += len(target)
        if self._rows >= ROWS_AT_ONCE:
            self._merge()

    def statistics(self) -> Any:
        """Return what was learned; None without any target."""
        if self._waiting:
            self._merge()
        return self._found

    def _merge(self) -> None:
        weights = [each for _, each in self._waiting if each is not None]  # all or none have some
        joined = join_rows([target for target, _ in self._waiting])
        found = learn_from(self._learn, joined, torch.cat(weights) if weights else None)
        self._found = found if self._found is None else self._found.merged(found)
        self._waiting, self._rows = [], 0
