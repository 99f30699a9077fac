"""Undoing the standardisation of targets that are numbers."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from motet.problems import InputError, RowError

Scaling = tuple[float | Sequence[float], float | Sequence[float]]
"""Mean and standard deviation; Python only, as a config scales in its preprocessing."""
LogScale = float | Sequence[float | None]
"""Scale of a logarithm, `motet.data.inputs.logarithm`, for all outputs or each; Python only."""
_FARTHEST = 600.0
"""Largest logarithm that is undone, so that predictions are finite."""


def checked_scaling(task: str, scaling: Scaling | None, outputs: int = 1) -> tuple[Any, Any] | None:
    """Return a task's scaling.

    Args:
        task: Name of the task.
        scaling: Mean and standard deviation, one number each, or one per output; or None.
        outputs: How many outputs the task has.

    Returns:
        The same.

    Raises:
        InputError: If there are not as many numbers as outputs, or a standard deviation is not
            positive.
    """
    if scaling is None:
        return None
    for each in scaling:
        if isinstance(each, Sequence) and len(each) != outputs:
            raise InputError(
                f"found {len(each)} numbers, expected one, or one for each of {outputs} outputs",
                option="scaling",
                owner=f"task {task!r}",
            )
    if not bool((torch.tensor(scaling[1]) > 0).all()):
        raise InputError(
            f"found the standard deviation {scaling[1]}, expected > 0; use 1 for a constant",
            option="scaling",
            owner=f"task {task!r}",
        )
    return scaling


def restored(
    values: Tensor, scaling: tuple[Any, Any] | None, log_scale: LogScale | None = None
) -> Tensor:
    """Return standardised numbers (B, ...) in original units, float64.

    Args:
        values: The numbers.
        scaling: Mean and standard deviation that they were standardised by.
        log_scale: Scale of the logarithm that they were before that, if they were: one, or one per
            output, None for an output that was not.

    Returns:
        The numbers, finite: a logarithm beyond 600 is taken for 600.

    Example:
        >>> restored(torch.tensor([1.0, -1.0]), (0.0, 1.0), 10.0)
        tensor([ 17.1828, -17.1828], dtype=torch.float64)
    """
    values = values.double()
    if scaling is not None:
        mean, std = (values.new_tensor(each) for each in scaling)
        values = values * std + mean
    if log_scale is None:
        return values
    if isinstance(log_scale, Sequence) and values.dim() == 1:
        (log_scale,) = log_scale  # lists of one number
    if log_scale is None or not isinstance(log_scale, Sequence):
        return values if log_scale is None else _exponential(values, log_scale)
    each = zip(values.unbind(dim=1), log_scale, strict=True)
    columns = [one if scale is None else _exponential(one, scale) for one, scale in each]
    return torch.stack(columns, dim=1)


def _exponential(logs: Tensor, scale: float) -> Tensor:
    return logs.sign() * scale * logs.abs().clamp(max=_FARTHEST).expm1()


def checked_log_scale(
    task: str, transform: str, log_scale: LogScale | None, outputs: int
) -> LogScale | None:
    """Return the scale of the logarithm that a task undoes.

    Args:
        task: Name of the task.
        transform: The option of the task.
        log_scale: The option of the task.
        outputs: How many outputs the task has.

    Returns:
        The scale; None if nothing is undone.

    Raises:
        InputError: If one is given without the other, or is no scale.
    """
    if (transform == "none") != (log_scale is None):
        if log_scale is None:
            message = (
                f"found {transform}, whose scale is learned from the labels of a run; a task "
                "alone, or a model without data, needs log_scale, by which targets were "
                "transformed before"
            )
            raise InputError(message, option="transform", owner=f"task {task!r}")
        raise InputError("set transform: log too", option="log_scale", owner=f"task {task!r}")
    several = isinstance(log_scale, Sequence)
    scales: Any = log_scale if several else (log_scale,)
    if (several and len(scales) != outputs) or any(s is not None and not s > 0 for s in scales):
        raise InputError(
            f"found {log_scale}, expected a number > 0, or one or None for each of {outputs} "
            "outputs",
            option="log_scale",
            owner=f"task {task!r}",
        )
    return log_scale


def refuse_infinite(task: str, labels: Tensor) -> None:
    """Check that labels (B, ...) are finite or NaN.

    Raises:
        RowError: If one is infinite.
    """
    if bool(labels.isinf().any()):
        raise RowError(
            f"task {task!r}: found an infinite label in",
            labels.isinf().nonzero()[0, 0],
            ", expected numbers, or NaN where missing",
        )
