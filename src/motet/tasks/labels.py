"""Which labels are there: missing ones are found once, at the door, and become a mask.

A label column becomes a target in one of four ways, named by ``Task.labels``:

==============  =======================================  ======================================
``"class"``     whole numbers (B,), or class shares      missing: -100 or NaN; a row of shares is
                (B, C), "soft labels"                    missing if any of its numbers is NaN
``"indicators"``  0 or 1, (B, C)                         missing: -100 or NaN, cell by cell
``"tags"``      whole numbers (B, L), one per word       missing: -100 or NaN, word by word, and
                                                         after the last word of a row
``"number"``    (B,), or (B, K) for several outputs      missing: NaN, number by number
==============  =======================================  ======================================

-100 is a number like any other for ``"number"``: it may be a temperature.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from motet.problems import InputError
from motet.states import MISSING as MISSING
from motet.wide_state import at_least_float32 as at_least_float32

Labels = Literal["class", "number", "indicators", "tags"]


def as_tensor(values: Any) -> Tensor:
    """Return a tensor of an array or list (copied; None means NaN), or a tensor as it is."""
    if isinstance(values, Tensor):
        return values.detach()
    array = np.asarray(values)
    return torch.tensor(array.astype(np.float64) if array.dtype == object else array)


def as_vector(values: Tensor) -> Tensor:
    """Return (B, 1) as (B,), without its last axis, and all else as it is."""
    return values.squeeze(-1) if values.ndim == 2 and values.shape[-1] == 1 else values


def is_soft(target: Tensor) -> bool:
    """Return whether class labels are shares (B, C) rather than class indices (B,)."""
    return target.ndim == 2 and target.shape[-1] > 1 and target.is_floating_point()


def present(target: Tensor, labels: Labels) -> Tensor:
    """Tell which labels are there.

    Args:
        target: Labels, shape (B,), (B, K) or (B, L).
        labels: How they are to be read; see the top of this module.

    Returns:
        Mask: (B,) where a row has one label (class shares too), else (B, K) or (B, L).

    Example:
        >>> present(torch.tensor([3, -100]), "class")
        tensor([ True, False])
        >>> present(torch.tensor([-100.0, torch.nan]), "number")
        tensor([ True, False])
    """
    if labels == "class" and is_soft(target):
        return ~target.isnan().any(dim=-1)
    has_missing = labels != "number" and target.dtype.is_signed  # as uint8, -100 would be 156
    if target.is_floating_point():
        found = ~target.isnan()
        found = found & (target != MISSING) if has_missing else found
    else:
        found = target != MISSING if has_missing else torch.ones_like(target).bool()
    return as_vector(found) if labels in ("class", "number") else found


def complete(labelled: Tensor) -> bool:
    """Tell whether no label is missing, where looking costs nothing: a GPU would have to wait."""
    return labelled.device.type == "cpu" and bool(labelled.all())


def row_with_gap(there: Tensor) -> int | None:
    """Return the first row of (B, L) in which something comes after a place that is empty.

    Rows are looked at where it costs nothing: a GPU would have to wait for it.
    """
    if there.device.type != "cpu":
        return None
    gaps = there[:, 1:] & ~there[:, :-1]
    return int(gaps.any(dim=1).nonzero()[0]) if bool(gaps.any()) else None


def present_or_none(target: Tensor, labels: Labels) -> Tensor | None:
    """Tell which labels are there, where it is cheap to see that all are.

    On a CPU one reduction tells most often; a GPU would have to wait for it.

    Returns:
        None if all labels are there and that was seen; else the mask that `present` gives.
    """
    if target.device.type == "cpu" and target.numel():
        if labels == "number":
            full = not (target.is_floating_point() and math.isnan(target.sum()))  # NaN spreads
        else:
            full = not target.dtype.is_signed or target.min().item() >= 0  # -100 is not, nor NaN
        if full:
            return None
    return present(target, labels)


def named_classes(
    where: str, classes: int | Sequence[str] | None, *, least: int = 1
) -> tuple[int, tuple[str, ...] | None]:
    """Read an option that gives classes by number or by name.

    Args:
        where: What an error calls the option.
        classes: Their number, their names, or None if not known yet.
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
        raise InputError(f"{where} has {len(names)} names, expected at least {least}")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{where} has {twice!r} twice, expected names that differ")
    return len(names), names
