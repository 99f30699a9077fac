"""Tasks drawn by their numbers of rows."""

from typing import final

from motet.options import PositiveInt, Sequence, checked
from motet.scheduling.base import Need
from motet.scheduling.by_odds import ByOdds


@final
class Proportional(ByOdds):
    """Draw tasks by their labelled rows, p ∝ n, or p ∝ min(n, cap).

    Args:
        tasks: Names of the tasks.
        cap: Largest number of rows that counts (as in T5, Raffel et al., JMLR 2020,
            arXiv:1910.10683); no limit if left out.
        tasks_per_step: Number of tasks that train at each step.

    Example:
        >>> scheduler = Proportional(["common", "rare"], cap=100)
        >>> scheduler.facts.rows = {"common": 1000, "rare": 10}
        >>> [round(p, 4) for p in scheduler.probabilities(["common", "rare"])]
        [0.9091, 0.0909]
    """

    needs = frozenset[Need]({"rows"})

    @checked
    def __init__(
        self,
        tasks: Sequence[str],
        *,
        cap: PositiveInt | None = None,
        tasks_per_step: PositiveInt = 1,
    ) -> None:
        super().__init__(tasks, tasks_per_step)
        self.cap = cap

    def odds(self, tasks: Sequence[str]) -> Sequence[float]:
        return [float(min(self.rows[task], self.cap or self.rows[task])) for task in tasks]
