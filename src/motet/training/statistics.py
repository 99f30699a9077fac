"""Statistics of the tasks' gradients while training, cheap enough to leave on."""

import math
from collections.abc import Mapping, Sequence
from typing import TypedDict

import torch
from torch import Tensor, nn

from motet.balancing import reached_tasks
from motet.balancing.engine.call import serves_once
from motet.model import MultiTaskModel

GRADIENTS_EVERY = 200
"""Steps between two computations of the task gradients, where the balancer does not need them.

Each costs one backward pass per task: about 1 % of the time with three tasks.
"""


class GradientStats(TypedDict):
    """Norm of one task's gradient on the shared parameters, at the steps where it is computed."""

    norm: float
    """Mean norm."""
    variance: float
    """Variance of the norm."""
    count: int
    """Number of those steps."""


class TaskGradients:
    """Gradients of tasks on the shared parameters, added up over micro-batches.

    Args:
        model: The model.
        scale: The factor on the losses in backward passes.
    """

    def __init__(self, model: MultiTaskModel, scale: float = 1.0) -> None:
        self._model, self._scale = model, scale
        self._wanted: list[nn.Parameter] | None = None
        self._sums: dict[str, list[Tensor | None]] = {}

    def plus(self, losses: Mapping[str, Tensor]) -> "TaskGradients":
        """Add the gradients of some losses, whose graphs stay.

        Returns:
            Itself.
        """
        if self._wanted is None:
            self._model.note_reached(reached_tasks(losses))
            self._wanted = [each for each in self._model.shared_parameters() if each.requires_grad]
        for task, loss in losses.items() if self._wanted else ():
            found = _gradients(loss * self._scale, self._wanted)
            if found is None:
                self._wanted, self._sums = [], {}
                break
            before = self._sums.get(task, [None] * len(found))
            self._sums[task] = [
                old if new is None else new if old is None else old + new
                for old, new in zip(before, found, strict=True)
            ]
        return self

    def norms(self) -> dict[str, float]:
        """Return the norm of each task's gradient, where none overflowed."""
        known = {task: [g for g in found if g is not None] for task, found in self._sums.items()}
        norms = {task: float(whole_norm(each)) / self._scale for task, each in known.items()}
        return {task: norm for task, norm in norms.items() if math.isfinite(norm)}


def _gradients(loss: Tensor, wanted: list[nn.Parameter]) -> tuple[Tensor | None, ...] | None:
    """Compute gradients; None where the graph serves one backward pass, which is for training."""
    try:
        return torch.autograd.grad(loss, wanted, retain_graph=True, allow_unused=True)
    except RuntimeError as error:
        if not serves_once(error):
            raise
        return None


def whole_norm(gradients: list[Tensor]) -> Tensor:
    """Return the norm of a gradient in pieces, any of which may be sparse.

    Pieces of one type, the usual case, skip the sorting by device and type that
    ``torch.nn.utils.get_total_norm`` does.
    """
    first = gradients[0].dtype if gradients else None
    if first is None or any(each.is_sparse or each.dtype != first for each in gradients):
        dense = [each.coalesce().values() if each.is_sparse else each for each in gradients]
        return nn.utils.get_total_norm(dense)
    norms: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    return norms


def add_norms(moments: dict[str, list[float]], norms: Mapping[str, float]) -> None:
    """Add norms to running (count, mean, sum of squared deviations), by Welford's recurrence."""
    for task, norm in norms.items():
        count, mean, squares = moments.get(task, [0, 0.0, 0.0])
        count += 1
        step = norm - mean
        mean += step / count
        moments[task] = [count, mean, squares + step * (norm - mean)]


def gradient_stats(moments: Mapping[str, Sequence[float]]) -> dict[str, GradientStats]:
    """Turn running moments into statistics by task."""
    return {
        task: {"norm": mean, "variance": squares / count, "count": int(count)}
        for task, (count, mean, squares) in moments.items()
    }
