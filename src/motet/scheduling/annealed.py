"""Tasks drawn first by their numbers of rows, then more and more alike."""

from typing import final

from motet.options import PositiveInt, Sequence, Share, checked
from motet.scheduling.base import Need
from motet.scheduling.by_odds import ByOdds
from motet.scheduling.temperature import powers


@final
class Annealed(ByOdds):
    """Draw tasks by p ∝ n^a, where a falls from 1.

    After Stickland & Murray (ICML 2019, arXiv:1902.02671): in epoch e of E,
    a = 1 - (1 - final) (e - 1) / (E - 1).

    Args:
        tasks: Names of the tasks.
        final: The exponent in the last epoch; the paper has 0.2.
        tasks_per_step: Number of tasks that train at each step.
    """

    needs = frozenset[Need]({"rows", "progress"})

    @checked
    def __init__(
        self, tasks: Sequence[str], *, final: Share = 0.2, tasks_per_step: PositiveInt = 1
    ) -> None:
        super().__init__(tasks, tasks_per_step)
        self.final = final

    def odds(self, tasks: Sequence[str]) -> Sequence[float]:
        now = self.progress
        fallen = (now.epoch - 1) / max(now.epochs - 1, 1)
        return powers([self.rows[task] for task in tasks], 1 - (1 - self.final) * fallen)
