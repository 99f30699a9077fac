"""Every task at every step."""

from collections.abc import Sequence
from typing import final

from motet.scheduling.base import Scheduler


@final
class All(Scheduler):
    """Train all tasks at every step."""

    partial = False

    def tasks_for(self, step: int, tasks: Sequence[str]) -> Sequence[str]:
        return tasks
