"""Schedulers: which tasks train at a step."""

from collections.abc import Iterable
from typing import Any

from motet.options import create as _create
from motet.problems import InputError, with_article
from motet.registry import SCHEDULERS
from motet.scheduling.all import All
from motet.scheduling.base import Scheduler

__all__ = ["All", "Scheduler", "available", "create"]


def create(name: str, tasks: Iterable[str], **options: Any) -> Scheduler:
    """Build a scheduler by name.

    Args:
        name: A name of ``available()``.
        tasks: Names of the tasks, such as ``model.tasks.names``.
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
    return scheduler


def available() -> list[str]:
    """Return the names of all schedulers."""
    return list(SCHEDULERS)
