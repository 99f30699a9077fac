"""Undoing the standardisation of targets that are numbers."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from motet.problems import InputError, RowError

Scaling = tuple[float | Sequence[float], float | Sequence[float]]
"""Mean and standard deviation; Python only, as a config scales in its preprocessing."""


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
    if bool((torch.tensor(scaling[1]) <= 0).any()):
        raise InputError(
            f"found the standard deviation {scaling[1]}, expected > 0; use 1 for a constant",
            option="scaling",
            owner=f"task {task!r}",
        )
    return scaling


def restored(values: Tensor, scaling: tuple[Any, Any] | None) -> Tensor:
    """Return standardised numbers (B, ...) in original units, float64."""
    values = values.double()
    if scaling is None:
        return values
    mean, std = (values.new_tensor(each) for each in scaling)
    return values * std + mean


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
