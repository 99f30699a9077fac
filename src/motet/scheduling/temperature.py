"""Tasks drawn by a power of their numbers of rows."""

from typing import final

from motet.options import PositiveFloat, PositiveInt, Sequence, checked
from motet.scheduling.base import Need
from motet.scheduling.by_odds import ByOdds


@final
class Temperature(ByOdds):
    """Draw tasks by a root of their labelled rows, p ∝ n^(1/τ) (arXiv:1907.05019).

    τ = 1 is `Proportional`; the larger τ is, the closer to `Random`.

    Args:
        tasks: Names of the tasks.
        temperature: τ.
        tasks_per_step: Number of tasks that train at each step.
    """

    needs = frozenset[Need]({"rows"})

    @checked
    def __init__(
        self,
        tasks: Sequence[str],
        *,
        temperature: PositiveFloat = 2.0,
        tasks_per_step: PositiveInt = 1,
    ) -> None:
        super().__init__(tasks, tasks_per_step)
        self.temperature = temperature

    def odds(self, tasks: Sequence[str]) -> Sequence[float]:
        return powers([self.rows[task] for task in tasks], 1 / self.temperature)


def powers(rows: Sequence[int], exponent: float) -> list[float]:
    """Return n^exponent, each divided by the largest, which keeps any exponent in range."""
    most = max(rows) or 1
    return [(each / most) ** exponent if each else 0.0 for each in rows]
