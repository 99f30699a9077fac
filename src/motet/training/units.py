"""Units of targets that are numbers."""

import warnings

from torch import Tensor

from motet.tasks import Task


def warn_of_units(task: Task, target: Tensor) -> None:
    """Warn about numbers in a unit that makes their loss drown the other tasks'."""
    if task.labels != "number" or getattr(task, "scaling", None) is not None:
        return
    known = target[~target.isnan()].double()
    mean, std = float(known.mean()), float(known.std(correction=0))
    if abs(mean) > 10 or not 0.01 < std < 10:
        warnings.warn(
            f"the targets of {task.name!r} have mean {mean:.4g} and standard deviation {std:.4g}, "
            "so its loss may drown the other tasks' or take long to learn; train on (y - mean) / "
            f"std with {type(task).__name__}({task.name!r}, scaling=(mean, std)), which predicts "
            "in the original unit",
            stacklevel=4,
        )
