"""Schedulers: which tasks train at a step."""

from typing import TYPE_CHECKING, Any, Literal

from motet.elsewhere import missing
from motet.options import checked
from motet.options import create as _create
from motet.problems import InputError, hint, with_article
from motet.registry import SCHEDULERS
from motet.scheduling.all import All
from motet.scheduling.annealed import Annealed
from motet.scheduling.base import NEEDS, Facts, Need, Progress, Scheduler
from motet.scheduling.by_odds import ByOdds
from motet.scheduling.curriculum import Curriculum
from motet.scheduling.performance import Performance
from motet.scheduling.proportional import Proportional
from motet.scheduling.random import Random
from motet.scheduling.round_robin import RoundRobin
from motet.scheduling.task_balanced import TaskBalanced
from motet.scheduling.temperature import Temperature
from motet.scheduling.weighted import Weighted

__all__ = [
    "All",
    "Annealed",
    "ByOdds",
    "Curriculum",
    "Facts",
    "Need",
    "Performance",
    "Progress",
    "Proportional",
    "Random",
    "RoundRobin",
    "Scheduler",
    "TaskBalanced",
    "Temperature",
    "Weighted",
    "available",
    "combined",
    "create",
]


if not TYPE_CHECKING:  # type checkers know what is here

    def __getattr__(name: str) -> Any:
        raise missing(__name__, name)


@checked
def create(
    name: str,
    tasks: Any,
    *,
    combine: Literal["cycle"] | None = None,
    **options: Any,
) -> Scheduler:
    """Build a scheduler by name.

    Args:
        name: A name of ``available()``.
        tasks: Names of the tasks, such as ``model.tasks.names``.
        combine: ``cycle`` makes one optimizer step of all draws until every task was drawn, each
            with a batch of its own, as if the batches had arrived together; so a balancer can
            compare the tasks. One step per draw if left out.
        options: The scheduler's own options.

    Returns:
        The scheduler, its state fresh.

    Raises:
        InputError: If the name or an option is unknown, an option has a wrong value, or the
            registered member is not a scheduler.
    """
    scheduler = _create(SCHEDULERS, name, tuple(tasks), **options)
    if not isinstance(scheduler, Scheduler):
        raise InputError(
            f"scheduler {name!r}: found {with_article(type(scheduler).__name__)}; expected a "
            "scheduler; register a subclass of motet.scheduling.Scheduler"
        )
    return combined(scheduler, combine)


def combined(scheduler: Scheduler, combine: Literal["cycle"] | None) -> Scheduler:
    """Let a scheduler combine its draws, and check what it declares.

    Returns:
        The same scheduler.

    Raises:
        InputError: If there is nothing to combine, or it needs what does not exist.
    """
    for need in scheduler.needs:
        if need not in NEEDS:
            raise InputError(
                f"{type(scheduler).__name__}.needs: found {need!r}; {hint(need, NEEDS)}"
            )
    if combine is not None:
        if not scheduler.partial:
            raise InputError(
                f"found {combine}, but {type(scheduler).__name__} trains all tasks at every step "
                "anyway; remove combine",
                option="combine",
            )
        scheduler.combine = combine
    return scheduler


def available() -> list[str]:
    """Return the names of all schedulers."""
    return list(SCHEDULERS)
