"""The same number of labelled rows of every task at each step."""

from collections.abc import Sequence
from typing import final

from motet.scheduling.base import Need, Scheduler


@final
class TaskBalanced(Scheduler):
    """Train all tasks at every step, each on the same number of its own labelled rows.

    Of the ``batch_size``, every task gets an equal part. The rows of rarer tasks are used again, in
    a new order each time, until every row of the largest task was used once, which ends the epoch:
    a labelled row of a task with n rows is seen n_max / n times as often as one of the largest.
    """

    needs = frozenset[Need]({"own_rows"})
    partial = False

    def tasks_for(self, step: int, tasks: Sequence[str]) -> Sequence[str]:
        return tasks
