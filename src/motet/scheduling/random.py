"""Tasks drawn with equal probability."""

from typing import final

from motet.options import PositiveInt, Sequence, checked
from motet.scheduling.by_odds import ByOdds


@final
class Random(ByOdds):
    """Draw tasks at random, p = 1 / T.

    Args:
        tasks: Names of the tasks.
        tasks_per_step: Number of tasks that train at each step.
    """

    @checked
    def __init__(self, tasks: Sequence[str], *, tasks_per_step: PositiveInt = 1) -> None:
        super().__init__(tasks, tasks_per_step)

    def odds(self, tasks: Sequence[str]) -> Sequence[float]:
        return [1.0] * len(tasks)
