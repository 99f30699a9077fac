"""Priorities of tasks where nothing reads them."""

from collections.abc import Iterable

from motet.balancing import Balancer
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.scheduling import Scheduler


def check_priorities(
    model: MultiTaskModel, scheduler: Scheduler, balancers: Iterable[Balancer]
) -> None:
    """Reject a priority that neither the scheduler nor a balancer reads.

    Raises:
        InputError: If a task has one.
    """
    if "priorities" in scheduler.needs or any(each.needs.priorities for each in balancers):
        return
    for task in model.tasks:
        if task.priority != "normal":
            raise InputError(
                f"found {task.priority}, which neither the scheduler "
                f"{type(scheduler).__name__} nor the balancer reads; choose scheduling: weighted "
                "(drawn more often) or balancing: pcd (never harmed by lower ones), or give a "
                "weight of its loss",
                option="priority",
                owner=f"task {task.name!r}",
            )
