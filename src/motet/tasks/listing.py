"""Tasks as users give them."""

from collections.abc import Iterable, Mapping
from typing import Any

from motet.problems import InputError, shown
from motet.tasks.base import Task


def listed_tasks(tasks: Any) -> list[Task]:
    """Return tasks as a list.

    Raises:
        InputError: If they are not tasks.
    """
    if isinstance(tasks, Task):
        raise InputError(f"tasks: found one task, {tasks.name!r}; expected a list: [task]")
    if isinstance(tasks, Mapping):
        raise InputError(
            "tasks: found a mapping; expected a list of tasks, which know their names: "
            "list(tasks.values())"
        )
    found: list[Any] = (
        [tasks] if isinstance(tasks, str) or not isinstance(tasks, Iterable) else list(tasks)
    )
    for task in found:
        if not isinstance(task, Task):
            name = repr(task) if isinstance(task, str) else "name"
            raise InputError(
                f"tasks: found {shown(task)}; expected a list of tasks such as "
                f"motet.tasks.Classification({name}, classes=2)"
            )
    return found


def main_tasks(tasks: Iterable[Task]) -> list[str]:
    """Return the names of the tasks marked as main, or of all if none is."""
    tasks = list(tasks)
    return [task.name for task in tasks if task.main] or [task.name for task in tasks]
