"""Tasks drawn by their priorities."""

from typing import final

from motet.options import (
    Annotated,
    Any,
    Chosen,
    Mapping,
    PositiveInt,
    Sequence,
    checked,
    create,
    name_and_options,
)
from motet.problems import InputError
from motet.registry import SCHEDULERS
from motet.scheduling.by_odds import ByOdds

ODDS = {"low": 0.5, "normal": 1.0, "high": 2.0, "critical": 3.0}
"""How often a task of each priority is drawn, in relation to others."""


@final
class Weighted(ByOdds):
    """Draw tasks by their ``priority``: low 0.5, normal 1, high 2, critical 3.

    A priority decides how often a task is drawn, not how much its loss counts; that is its
    ``weight``.

    Args:
        tasks: Names of the tasks.
        base: Another way to draw, whose probabilities are multiplied with the priorities: random,
            proportional, temperature or annealed, with their options; random if left out.
        tasks_per_step: Number of tasks that train at each step.

    Raises:
        InputError: If ``base`` is another scheduler, or has options of whole steps.
    """

    @checked
    def __init__(
        self,
        tasks: Sequence[str],
        *,
        base: Annotated[
            Mapping[str, Any],
            Chosen(
                "scheduler",
                default="random",
                names=("random", "proportional", "temperature", "annealed"),
            ),
        ]
        | None = None,
        tasks_per_step: PositiveInt = 1,
    ) -> None:
        super().__init__(tasks, tasks_per_step)
        self.base = _base(base or {}, self.tasks)
        self.needs = self.base.needs | {"priorities"}

    def odds(self, tasks: Sequence[str]) -> Sequence[float]:
        self.base.facts = self.facts
        priorities = self.facts.priorities
        return [
            ODDS[priorities.get(task, "normal")] * odds
            for task, odds in zip(tasks, self.base.probabilities(tasks), strict=True)
        ]


def _base(given: Mapping[str, Any], tasks: Sequence[str]) -> ByOdds:
    name, options = name_and_options(given, "random")
    for option, default in (("tasks_per_step", 1), ("combine", None)):
        if options.pop(option, default) != default:
            raise InputError(f"belongs beside base; move it: {option}", option=f"base.{option}")
    base: ByOdds = create(SCHEDULERS, name, tasks, **options)
    return base
