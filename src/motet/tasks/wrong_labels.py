"""Labels that a loss cannot use, explained after it failed, so that a step costs nothing more.

`Trainer` checks labels before the first step; in your own loop labels reach the loss unchecked.
What torch raises then on a CPU is replaced by what `Task.check` finds. A GPU raises an assertion of
its own, later and for good: no label can be read after it, so its message stays.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from motet.problems import MALFORMED, InputError

Loss = Callable[..., tuple[Tensor, Tensor]]


def refuse_wrong_labels(task: Any, target: object, error: Exception) -> None:
    """Refuse labels of which a loss could not be computed, if they are why.

    Args:
        task: The task.
        target: Its labels.
        error: What was raised.

    Raises:
        InputError: From the error, if a label that was given is not valid, and the error does not
            explain itself.
    """
    if isinstance(error, (InputError, torch.OutOfMemoryError)) or not task.label_kind.given:
        return
    if isinstance(target, (list, tuple, float, int, np.ndarray)):
        raise InputError(
            f"task {task.name!r}: found labels of type {type(target).__name__}, expected a tensor, "
            "for example torch.as_tensor(labels)"
        ) from error
    if not isinstance(target, Tensor):  # what a task of the user may take
        return
    try:
        task.check(target)
    except InputError as problem:
        raise problem from error
    except MALFORMED:  # labels that cannot be read, as after an assertion of a GPU
        if target.ndim == 0:
            raise InputError(
                f"task {task.name!r}: the labels have the shape (), expected one for each row"
            ) from error


def explaining(loss: Loss) -> Loss:
    """Return the method ``loss`` of a class of tasks with errors about labels in the user's words.

    Its own error, and any that is not about labels, passes as it is.
    """

    @functools.wraps(loss)
    def explained(self: Any, *given: Any, **named: Any) -> Any:
        try:
            return loss(self, *given, **named)
        except MALFORMED as error:
            if len(given) > 1 or "target" in named:
                refuse_wrong_labels(self, given[1] if len(given) > 1 else named["target"], error)
            raise

    return explained
