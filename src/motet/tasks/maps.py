"""What tasks with a label for every pixel share: raw outputs and labels, pixel by pixel."""

from typing import Any

from torch import Tensor

from motet.problems import InputError
from motet.tasks.map_heads import resized


def fitting_map(task: Any, raw: Tensor, target: Tensor) -> Tensor:
    """Return raw outputs at the size of the labels.

    Args:
        task: The task.
        raw: Raw outputs (B, outputs, h, w).
        target: Labels (B, H, W).

    Returns:
        Raw outputs (B, outputs, H, W), interpolated if h and w differ from these.

    Raises:
        InputError: If one of them has another shape.
    """
    task.require_outputs()
    if target.ndim != 3:
        raise InputError(
            f"task {task.name!r}: the labels have the shape {tuple(target.shape)}, expected "
            "(B, H, W), one label for every pixel"
        )
    if raw.ndim != 4 or raw.shape[:2] != (len(target), task.outputs):
        raise InputError(
            f"task {task.name!r}: the raw output has the shape {tuple(raw.shape)}, expected "
            f"({len(target)}, {task.outputs}, H, W); the last layer of its head must give "
            f"{task.outputs} per place of a map, for example nn.Conv2d(..., {task.outputs}, 1)"
        )
    return resized(raw, (target.shape[1], target.shape[2]))


def wide_weights(weights: Tensor | None, target: Tensor) -> Tensor | None:
    """Return the weights of rows (B,) as those of all pixels of labels (B, H, W), (B * H * W,)."""
    if weights is None:
        return None
    return weights.repeat_interleave(target.shape[1] * target.shape[2])


def check_size(task: Any, target: Tensor, missing: str) -> None:
    """Check the shape of labels.

    Args:
        task: The task.
        target: Labels (B, H, W).
        missing: How a missing label is written, for the message.

    Raises:
        InputError: If they have another shape, or another size than the task's.
    """
    found, size = tuple(target.shape), task.size
    if len(found) != 3 or 0 in found[1:]:
        raise InputError(
            f"task {task.name!r}: the labels have the shape {found}, expected (B, H, W), one label "
            f"for every pixel, {missing} where missing"
        )
    if size is not None and found[1:] != size:
        raise InputError(
            f"task {task.name!r}: the labels have {found[1]} x {found[2]} pixels, expected "
            f"{size[0]} x {size[1]}, as size says; correct size, or give labels of that size"
        )
