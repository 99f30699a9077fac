"""The order in which tasks are computed: each after those that it reads."""

from collections.abc import Mapping, Sequence

from motet.problems import InputError, hint


class OrderError(InputError):
    """A task reads one that does not exist, or tasks read each other in a circle.

    Args:
        message: What was found.
        task: The task that reads it.
    """

    def __init__(self, message: str, task: str) -> None:
        super().__init__(message)
        self.task = task


def task_order(reads: Mapping[str, Sequence[str]]) -> list[str]:
    """Order tasks, as given as far as possible.

    Args:
        reads: For each task the names of those that it reads.

    Returns:
        The tasks; what does not exist, or a circle, raises `OrderError`.

    Example:
        >>> task_order({"a": ["c"], "b": [], "c": ["b"]})
        ['b', 'c', 'a']
    """
    order: list[str] = []
    for task in reads:
        _visit(task, (), reads, order)
    return order


def _visit(
    task: str, path: tuple[str, ...], reads: Mapping[str, Sequence[str]], order: list[str]
) -> None:
    if task in path:
        circle = [*path[path.index(task) :], task]
        raise OrderError(
            f"tasks read each other in a circle: {' reads '.join(circle)}; remove one of these",
            path[-1],
        )
    if task not in reads:
        raise OrderError(
            f"task {path[-1]!r} reads {task!r}, which is not a task; {hint(task, reads)}", path[-1]
        )
    if task not in order:
        for each in reads[task]:
            _visit(each, (*path, task), reads, order)
        order.append(task)
