"""Which rows belong together, because the loss of some task compares them."""

from collections.abc import Iterable, Mapping

from torch import Tensor

from motet.data.arrays import ArrayData
from motet.data.batches import RowsOnce
from motet.data.groups import RowGroups
from motet.data.several import Sources
from motet.data.stream import StreamData
from motet.problems import InputError
from motet.tasks import Task


def grouping(tasks: Iterable[Task]) -> tuple[Task, ...]:
    """Return the tasks that compare rows."""
    return tuple(task for task in tasks if type(task).groups is not Task.groups)


def groups_of(tasks: Iterable[Task], targets: Mapping[str, Tensor | None]) -> RowGroups | None:
    """Return which rows belong together for some task; None if all stand alone."""
    found = [
        task.groups(target) for task in tasks if (target := targets.get(task.name)) is not None
    ]
    members = [each for each in found if each is not None]
    return RowGroups(members) if members else None


def keep_together(data: RowsOnce, tasks: Iterable[Task]) -> None:
    """Let batches of rows in memory hold whole groups; a loader decides itself.

    Raises:
        InputError: If rows of a stream are compared.
    """
    tasks = grouping(tasks)
    for part in data.parts.values() if isinstance(data, Sources) else (data,):
        if tasks and isinstance(part, ArrayData) and part.groups is None:
            part.groups = groups_of(tasks, part.targets)
        if tasks and isinstance(part, StreamData):
            raise InputError(
                f"task {tasks[0].name!r} compares rows with each other, which a stream does not "
                "keep together; give rows in memory"
            )
