"""Units of targets that are numbers."""

import warnings

from torch import Tensor

from motet.tasks import Task


def warn_of_units(task: Task, target: Tensor) -> None:
    """Warn about numbers in a unit that makes their loss drown the other tasks'."""
    note = "" if task.scaling is not None else task.label_kind.unit_note(target)
    if note:
        warnings.warn(
            f"the targets of {task.name!r} have {note}, so its loss may drown the other tasks' or "
            f"take long to learn; train on (y - mean) / std with {type(task).__name__}("
            f"{task.name!r}, scaling=(mean, std)), which predicts in the original unit",
            stacklevel=4,
        )
