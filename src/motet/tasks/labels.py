"""Labels as they are given: arrays as tensors, shares of classes, names of classes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from motet.problems import InputError, shown
from motet.states import MISSING as MISSING
from motet.tracing import exporting
from motet.wide_state import at_least_float32 as at_least_float32


def as_tensor(values: Any) -> Tensor:
    """Return a tensor of an array or list (copied; None means NaN), or a tensor as it is.

    Raises:
        InputError: If it does not hold numbers.
    """
    if isinstance(values, Tensor):
        return values.detach()
    try:
        array = np.asarray(values)
        return torch.tensor(array.astype(np.float64) if array.dtype == object else array)
    except (TypeError, ValueError):
        raise InputError(
            f"found {shown(values)}, expected an array of numbers; turn texts into numbers first, "
            "e.g. classes into 0, 1, 2"
        ) from None


def as_vector(values: Tensor) -> Tensor:
    """Return (B, 1) as (B,), without its last axis, and all else as it is."""
    return values.squeeze(-1) if values.ndim == 2 and values.shape[-1] == 1 else values


def is_soft(target: Tensor) -> bool:
    """Return whether class labels are shares (B, C) rather than class indices (B,)."""
    return target.ndim == 2 and target.shape[-1] > 1 and target.is_floating_point()


def first_wrong_place(found: Tensor, classes: int) -> float | None:
    """Return the first label that is not the place of a class; None if all are."""
    wrong = found[(found < 0) | (found >= classes) | (found != found.long())]
    if not len(wrong):
        return None
    first = wrong[0].item()
    return float(str(np.float32(first))) if wrong.dtype == torch.float32 else first  # 3.7, as given


def complete(labelled: Tensor) -> bool:
    """Return whether no label is missing, if it is cheap to see: a GPU would have to wait."""
    return labelled.device.type == "cpu" and bool(labelled.all())


def row_with_gap(there: Tensor) -> int | None:
    """Return the first row of (B, L) in which something follows an empty place.

    None on other devices than a CPU, which would have to wait for it, and in an exported graph.
    """
    if there.device.type != "cpu" or exporting():
        return None
    gaps = there[:, 1:] & ~there[:, :-1]
    return int(gaps.any(dim=1).nonzero()[0]) if bool(gaps.any()) else None


def named_classes(
    task: str, classes: int | Sequence[str] | None, *, option: str = "classes", least: int = 1
) -> tuple[int, tuple[str, ...] | None]:
    """Read an option that gives classes by number or by name.

    Args:
        task: Name of the task.
        classes: Their number, their names, or None if not known yet.
        option: The option, for errors.
        least: How many names there must be.

    Returns:
        Their number, 0 if not known yet, and their names, if they have any.

    Raises:
        InputError: If there are too few names or one comes twice.
    """
    if classes is None or isinstance(classes, int):
        return classes or 0, None
    names = tuple(classes)
    if len(names) < least:
        message = f"found {len(names)} names, expected at least {least}"
        raise InputError(message, option=option, owner=f"task {task!r}")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        message = f"found {twice!r} twice, expected names that differ"
        raise InputError(message, option=option, owner=f"task {task!r}")
    return len(names), names
