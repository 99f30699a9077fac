"""Losses and predictions of K members that each compute a task, raw outputs (B, K, ...).

The loss is the mean over members, and the prediction what `Task.combine` makes of theirs. The rows
of all members are computed at once wherever rows do not depend on each other.
"""

from typing import Any

import torch
from torch import Tensor

from motet.problems import InputError
from motet.tasks.base import Task
from motet.tasks.combining import spread_of
from motet.tasks.prediction import Kept, Prediction


def loss_of(task: Task, raw: Tensor, target: Tensor, weights: Tensor | None = None) -> Any:
    """Return what the loss of a task gives, as sum and count of the mean over its members.

    Args:
        task: The task.
        raw: Its raw output, (B, ...), or (B, K, ...) of members.
        target: Labels of the same rows.
        weights: How much each row counts, (B,); every row alike if left out.

    Returns:
        (sum, count), unless the loss is a user's and returns something else.
    """
    more = () if weights is None else (weights,)
    if task.members is None:
        return task.loss(raw, target, *more)
    count = _checked(task, raw)
    if task.additive and task.groups(target) is None:
        repeated = [each.repeat_interleave(count, dim=0) for each in (target, *more)]
        found: Any = task.loss(raw.flatten(0, 1), *repeated)
        return tuple(each / count for each in found) if _is_pair(found) else found
    each = [task.loss(own, target, *more) for own in raw.unbind(1)]
    if not all(map(_is_pair, each)):
        return each[0]
    return torch.stack([total for total, _ in each]).mean(), each[0][1]


def soft_of(task: Task, raw: Tensor) -> Tensor:
    """Return what a student learns from raw outputs (B, ...); of members, the mean of theirs."""
    if task.members is None:
        return task.soft(raw)
    members, found = _checked(task, raw), task.soft(raw.flatten(0, 1)).float()
    return found.reshape(-1, members, *found.shape[1:]).mean(dim=1)


def soft_loss_of(
    task: Task, raw: Tensor, soft: Tensor, target: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Return the sum of the loss against what a teacher predicts, as the mean over members."""
    if task.members is None:
        return task.soft_loss(raw, soft, target, weights)
    count = _checked(task, raw)
    given = [
        None if each is None else each.repeat_interleave(count, dim=0)
        for each in (soft, target, weights)
    ]
    soft, target, weights = given  # type: ignore[assignment]  # the first two are never None
    return task.soft_loss(raw.flatten(0, 1), soft, target, weights) / count


def prediction_of(task: Task, raw: Tensor) -> Prediction:
    """Return the prediction for raw outputs (B, ...), or (B, K, ...) of members, and its spread."""
    if task.members is None:
        return task.decode(raw)
    members = _apart(task.decode(raw.flatten(0, 1)), _checked(task, raw))
    return task.combine(members)._replace(spread=spread_of(members))


def kept_of(task: Task, raw: Tensor, target: Tensor) -> Kept:
    """Return what metrics need of a batch of raw outputs, (B, ...), or (B, K, ...) of members."""
    if task.members is None:
        return task.keep(raw, target)
    count = _checked(task, raw)
    found = task.keep(raw.flatten(0, 1), target.repeat_interleave(count, dim=0))
    prediction = task.combine(_apart(found.prediction, count))
    return Kept(prediction, found.target[::count], found.labelled[::count])


def _apart(predictions: Prediction, count: int) -> list[Prediction]:
    """Return the prediction of each member for B rows, from one for B K rows."""
    return [predictions.map(lambda values, k=k: values[k::count]) for k in range(count)]  # type: ignore[misc]  # k is bound


def _checked(task: Task, raw: Tensor) -> int:
    assert task.members is not None
    if raw.dim() < 2 or raw.shape[1] != task.members:
        raise InputError(
            f"task {task.name!r}: the raw output has the shape {tuple(raw.shape)}, expected (B, "
            f"{task.members}, ...), as the model that the task was last given to has "
            f"{task.members} members; make a task of its own for each model"
        )
    return task.members


def _is_pair(found: object) -> bool:
    return isinstance(found, tuple) and len(found) == 2
