"""Arithmetic of losses: from sums and counts to means, and numbers read from the device."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from motet.model.checks import described
from motet.tasks import Task


def mean_losses(terms: Mapping[str, tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Divide sums by counts, without the tasks whose count is 0. Costs one device sync."""
    counts = on_host([count for _, count in terms.values()])
    return {
        task: total / count
        for (task, (total, count)), some in zip(terms.items(), counts, strict=True)
        if some
    }


def count_of(
    task: Task,
    targets: Mapping[str, Tensor | None],
    weights: Mapping[str, Tensor | None],
) -> Tensor | None:
    """Return what the loss of a task will be divided by (); None without a target."""
    target, own = targets.get(task.name), weights.get(task.name)
    if target is None:
        return None
    return task.count(target) if own is None else task.count(target, own)


def on_host(numbers: Sequence[Tensor]) -> list[float]:
    """Read scalar tensors, from a GPU in one transfer."""
    if all(number.device.type == "cpu" for number in numbers):
        return [number.item() for number in numbers]
    return torch.stack([number.detach().double() for number in numbers]).tolist()


def no_terms(task: Task, found: object) -> str:
    """Say that the loss of a task returned something else than a sum and a count."""
    return (
        f"task {task.name!r}: loss(raw, target) of {type(task).__name__} returned "
        f"{described(found)}, expected (sum, count), two scalar tensors; for example "
        "return self.add_up(function, raw, target)"
    )
