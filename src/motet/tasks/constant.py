"""Finds predictions that do not depend on the row although the labels do."""

from collections.abc import Iterator

import torch
from torch import Tensor

from motet.figures import figure
from motet.tasks.base import Prediction, Task
from motet.tasks.labels import MISSING

_LIKE = 1e-5
"""Spread of predicted numbers, relative to that of the labels, that rounding may make."""


def constant_note(task: Task, prediction: Prediction, target: Tensor) -> str:
    """Say what a task predicts in every row, if it always predicts the same.

    Args:
        task: The task.
        prediction: Of N rows that have labels.
        target: Their labels in original units.

    Returns:
        The constant; nothing if predictions differ, or if all labels are alike, too.
    """
    value = prediction.value
    if task.labels == "number":
        found = list(_constant_numbers(task, value, target))
    elif task.labels == "tags":
        words = value[:, : target.shape[1]][target[:, : value.shape[1]] != MISSING]
        known = words[words != MISSING]  # a word whose scores are NaN has no tag
        found = _constant_class(task, known, target[target != MISSING])
    elif task.labels == "indicators":
        found = _constant_labels(task, value, target)
    else:
        found = _constant_class(task, value, target)
    where = "for every word" if task.labels == "tags" else f"in all {len(value):,} rows"
    return f"predicts {', '.join(found)} {where}" if found else ""


def _constant_numbers(task: Task, value: Tensor, target: Tensor) -> Iterator[str]:
    several = value.ndim == 2
    outputs = zip(value.T, target.T, strict=True) if several else [(value, target)]
    for place, (own, labels) in enumerate(outputs):
        known = labels[~labels.isnan()]
        spread = float(known.max() - known.min()) if len(known) else 0.0
        if spread and float(own.max() - own.min()) <= _LIKE * spread:
            name = f" for {_name(task, place)}" if several else ""
            yield f"{figure(float(own.double().mean()))}{name}"


def _constant_class(task: Task, value: Tensor, target: Tensor) -> list[str]:
    labels = target.argmax(dim=-1) if target.ndim == 2 else target  # shares of classes
    if not len(value) or bool((value != value[0]).any()) or not bool((labels != labels[0]).any()):
        return []
    return [_name(task, int(value[0]))]


def _constant_labels(task: Task, value: Tensor, target: Tensor) -> list[str]:
    differ = (target == 1).any(dim=0) & (target == 0).any(dim=0)
    if bool((value != value[0]).any()) or not bool(differ.any()):
        return []
    chosen = torch.nonzero(value[0]).flatten().tolist()
    return [_name(task, place) for place in chosen] or ["no label"]


def _name(task: Task, place: int) -> str:
    return repr(task.class_names[place]) if task.class_names else str(place)
