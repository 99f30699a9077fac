"""Priorities of tasks where nothing reads them."""

from collections.abc import Iterable

from motet.balancing import Balancer
from motet.problems import InputError
from motet.scheduling import Scheduler
from motet.tasks import Task


def check_priority(task: Task, scheduler: Scheduler, balancers: Iterable[Balancer]) -> None:
    """Reject a priority that neither the scheduler nor a balancer reads.

    Raises:
        InputError: If the task has one.
    """
    if task.priority == "normal" or "priorities" in scheduler.needs:
        return
    if not any(each.needs.priorities for each in balancers):
        raise InputError(
            f"found {task.priority}, but neither the scheduler {type(scheduler).__name__} nor the "
            "balancer reads priorities; choose scheduling: weighted (drawn more often) or "
            "balancing: pcd (never harmed by lower ones), or give the loss a weight",
            option="priority",
            owner=f"task {task.name!r}",
        )
