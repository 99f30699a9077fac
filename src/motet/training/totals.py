"""Sums of the losses of an epoch."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from motet.host import on_host

_WAITING = 1000
"""Most terms that wait: a few kilobytes."""


class Totals:
    """Sums and counts of losses over an epoch, added in float64 in their order.

    Terms wait on the device for a while, so that a step costs no transfer to the host. When they
    are added does not change a bit of the result.

    Args:
        sums: Sum and count by task, to continue from.
    """

    def __init__(self, sums: Mapping[str, Sequence[float]] | None = None) -> None:
        self._sums = {task: (pair[0], pair[1]) for task, pair in (sums or {}).items()}
        self._waiting: list[tuple[str, Tensor, Tensor]] = []

    def add(self, terms: Mapping[str, tuple[Tensor, Tensor]]) -> None:
        """Add ``{task: (sum, count)}``."""
        self._waiting += [(task, total.detach(), count) for task, (total, count) in terms.items()]
        if len(self._waiting) >= _WAITING:
            self._add_up()

    def sums(self) -> dict[str, tuple[float, float]]:
        """Return sum and count of each task."""
        self._add_up()
        return dict(self._sums)

    def means(self) -> dict[str, float]:
        """Return the mean loss of each task that had a label."""
        return {task: total / count for task, (total, count) in self.sums().items() if count}

    def _add_up(self) -> None:
        found = on_host([number for _, *pair in self._waiting for number in pair])
        for (task, *_), total, count in zip(self._waiting, found[::2], found[1::2], strict=True):
            before = self._sums.get(task, (0.0, 0.0))
            self._sums[task] = before[0] + total, before[1] + count
        self._waiting.clear()
