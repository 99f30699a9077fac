"""Statistics of the tasks' gradients while training, cheap enough to leave on."""

import math
from collections.abc import Mapping, Sequence
from typing import TypedDict

import torch
from torch import Tensor, nn

from motet.balancing.engine.call import serves_once
from motet.model import MultiTaskModel
from motet.processes import ALONE, Processes
from motet.training.reached import reached_by_any

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
    """Gradients of tasks on the shared parameters, added up over micro-batches and processes.

    Args:
        model: The model.
        scale: The factor on the losses in backward passes.
        processes: The processes.
    """

    def __init__(
        self, model: MultiTaskModel, scale: float = 1.0, processes: Processes = ALONE
    ) -> None:
        self._model, self._scale, self._processes = model, scale, processes
        self._parameters = list(model.parameters())
        self._wanted: list[nn.Parameter] | None = None
        self._sums: dict[str, list[Tensor | None]] = {}

    def plus(self, losses: Mapping[str, Tensor]) -> "TaskGradients":
        """Add the gradients of some losses, whose graphs stay.

        Returns:
            Itself.
        """
        if self._wanted is None:
            reached = reached_by_any(losses, list(losses), self._parameters, self._processes)
            self._model.note_reached(reached)
            self._wanted = [each for each in self._model.shared_parameters() if each.requires_grad]
        wanted, scale = self._wanted, self._scale
        found = {task: _gradients(loss * scale, wanted) for task, loss in losses.items()}
        (failed,) = self._processes.any([None in found.values()])
        if failed or not self._wanted:
            self._wanted, self._sums = [], {}
            return self
        for task, gradients in found.items():
            assert gradients is not None
            before = self._sums.get(task, [None] * len(gradients))
            self._sums[task] = [
                old if new is None else new if old is None else old + new
                for old, new in zip(before, gradients, strict=True)
            ]
        return self

    def norms(self) -> dict[str, float]:
        """Return the norm of each task's gradient, where none overflowed."""
        if self._processes.several:
            self._average()
        known = {task: [g for g in found if g is not None] for task, found in self._sums.items()}
        norms = {task: float(whole_norm(each)) / self._scale for task, each in known.items()}
        return {task: norm for task, norm in norms.items() if math.isfinite(norm)}

    def _average(self) -> None:
        for task, found in self._sums.items():
            dense = [
                torch.zeros_like(p) if g is None else g.to_dense() if g.is_sparse else g.clone()
                for p, g in zip(self._wanted or (), found, strict=True)
            ]
            self._processes.average(dense)
            self._sums[task] = list(dense)


def _gradients(loss: Tensor, wanted: list[nn.Parameter]) -> tuple[Tensor | None, ...] | None:
    """Compute gradients; None where the graph serves one backward pass, which is for training."""
    if not wanted or not loss.requires_grad:  # of rows of other processes
        return (None,) * len(wanted)
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
