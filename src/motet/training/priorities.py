"""Priorities of tasks where nothing reads them."""

from collections.abc import Iterable

from motet.balancing import Balancer
from motet.problems import InputError
from motet.scheduling import Scheduler
from motet.tasks import Task


def check_priority(task: Task, scheduler: Scheduler, balancers: Iterable[Balancer]) -> None:
    """Reject a priority that neither the scheduler nor a balancer reads.

    Raises:
        InputError: If the task has one, or a balancer that was given as an object has another.
    """
    if task.priority == "normal":
        return
    readers = [each for each in balancers if each.needs.priorities]
    for each in readers:
        if each.priority_of(task.name) != task.priority:
            name = type(each).__name__
            raise InputError(
                f"found {task.priority}, but the balancer {name} was made with other priorities; "
                "give them to the balancer alone, or name the balancer",
                option="priority",
                owner=f"task {task.name!r}",
            )
    if not (readers or "priorities" in scheduler.needs):
        raise InputError(
            f"found {task.priority}, but neither the scheduler {type(scheduler).__name__} nor the "
            "balancer reads priorities; choose scheduling: weighted (drawn more often) or "
            "balancing: pcd (never harmed by lower ones), or give the loss a weight",
            option="priority",
            owner=f"task {task.name!r}",
        )
