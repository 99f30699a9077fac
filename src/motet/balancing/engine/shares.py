"""Rows of several processes added up by columns, each process its share, while others are computed.

A row is sent as soon as it is filled, so that processes exchange it during the backward pass of the
next task. All processes fill the same rows in the same order.
"""

from collections import deque
from collections.abc import Callable

from torch import Tensor

from motet.processes import Processes

_TOGETHER = 1 << 18
"""Numbers of several rows that are sent together, in a copy; longer rows are sent one by one."""
_AT_ONCE = 2
"""Exchanges that are not complete, each of which needs memory for what is received."""


class Shares:
    """This process's columns of the sum of the processes' rows.

    Args:
        rows: Those of this process (T', P), perhaps yet to be filled; written in place.
        processes: The processes.
    """

    def __init__(self, rows: Tensor, processes: Processes) -> None:
        self._rows, self._processes = rows, processes
        self._sent = 0
        self._waits: deque[Callable[[], None]] = deque()

    def send(self, filled: int) -> None:
        """Start to exchange those of the first ``filled`` rows that wait, if they are enough."""
        some = self._rows[self._sent : filled]
        if len(some) and (some.numel() >= _TOGETHER or filled == len(self._rows)):
            if len(self._waits) == _AT_ONCE:
                self._waits.popleft()()
            self._waits.append(self._processes.begin_share_of_total(some))
            self._sent = filled

    def complete(self) -> Tensor:
        """Return the sums (T', the process's columns), a view of the rows, once all are filled."""
        self.send(len(self._rows))
        while self._waits:
            self._waits.popleft()()
        return self._rows[:, self._processes.columns(self._rows.shape[1])]
