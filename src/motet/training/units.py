"""Units of targets that are numbers."""

import warnings

from motet.tasks import Task
from motet.tasks.statistics import LabelStatistics


def warn_of_units(task: Task, labels: LabelStatistics) -> None:
    """Warn about numbers in a unit that makes their loss drown the other tasks'."""
    note = "" if task.scaling is not None else task.label_kind.unit_note(labels)
    if note:
        warnings.warn(
            f"the targets of {task.name!r} have {note}, so its loss may drown the other tasks' or "
            f"take long to learn; train on (y - mean) / std with {type(task).__name__}("
            f"{task.name!r}, scaling=(mean, std)), which predicts in the original unit",
            stacklevel=4,
        )
