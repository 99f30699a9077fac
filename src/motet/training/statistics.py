"""What is measured of the tasks' gradients while training: norms and inner products."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from motet.balancing.engine.gradient_rows import GradientRows
from motet.balancing.engine.measuring import joined_gramians, measured_rows
from motet.model import MultiTaskModel
from motet.processes import ALONE, Processes
from motet.sharing.tied import Tied
from motet.training.layer_groups import layer_groups
from motet.training.looks import ON_THE_WHOLE, Look
from motet.training.reached import reached_by_any

Matrix = NDArray[np.float64]


class GradientStats(TypedDict):
    """Norm of one task's gradient on the shared parameters, at the steps where it is computed."""

    norm: float
    """Mean norm."""
    variance: float
    """Variance of the norm."""
    count: int
    """Number of those steps."""


@dataclass(frozen=True)
class Measured:
    """Inner products of the gradients of T' tasks at one step."""

    tasks: tuple[str, ...]
    gramian: Matrix
    """Inner products (T', T') on the shared parameters."""
    by_group: Mapping[str, Matrix] = field(default_factory=dict)
    """The same on each group of them, if they were measured so."""
    comparable: bool = True
    """Whether a step along one gradient changes the other losses, as on shared parameters."""
    rows: GradientRows | None = field(default=None, repr=False)
    """The gradients, where a look ahead follows."""

    @property
    def norms(self) -> dict[str, float]:
        """The norm of each task's gradient, where it is finite."""
        norms = np.sqrt(self.gramian.diagonal().clip(min=0)).tolist()
        return {t: norm for t, norm in zip(self.tasks, norms, strict=True) if math.isfinite(norm)}

    @property
    def cosines(self) -> Matrix:
        """Cosines between the gradients (T', T')."""
        return cosines_of(self.gramian)


def cosines_of(gramian: Matrix) -> Matrix:
    """Turn inner products (T, T) into cosines; 0 with a zero gradient."""
    lengths = np.sqrt(gramian.diagonal())
    lengths = np.where(lengths > 0, lengths, np.inf)
    found: Matrix = gramian / np.outer(lengths, lengths)
    return found


class TaskGradients:
    """Gradients of tasks on the shared parameters, added up over micro-batches and processes.

    Args:
        model: The model.
        scale: The factor on the losses in backward passes.
        processes: The processes.
        look: What is measured.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        scale: float = 1.0,
        processes: Processes = ALONE,
        look: Look = ON_THE_WHOLE,
    ) -> None:
        self._model, self._scale, self._processes = model, scale, processes
        self._look = look
        self._groups: dict[str, list[nn.Parameter]] | None = None
        self._rows: GradientRows | None = None

    def plus(self, losses: Mapping[str, Tensor]) -> "TaskGradients":
        """Add the gradients of some losses, whose graphs stay.

        Returns:
            Itself.
        """
        if self._groups is None:
            self._groups = self._find(losses)
        if not self._groups:
            return self
        leaves = [each for group in self._groups.values() for each in group]
        rows = measured_rows(losses, leaves, self._scale)
        (failed,) = self._processes.any([rows is None])
        if failed:
            self._groups, self._rows = {}, None
        elif self._rows is None:
            self._rows = rows
        else:
            assert rows is not None
            self._rows = rows.plus(self._rows, self._model.tasks.names)
        return self

    def measured(self) -> Measured | None:
        """Return what was found; None where there was nothing to compare."""
        if self._rows is None or not self._groups:
            return None
        sizes = [len(group) for group in self._groups.values()]
        found = joined_gramians(self._rows, sizes, self._processes).numpy()
        by_group = dict(zip(self._groups, found, strict=True)) if self._look.layers else {}
        rows = self._rows if self._look.exact else None
        return Measured(tuple(self._rows.tasks), found.sum(axis=0), by_group, rows=rows)

    def _find(self, losses: Mapping[str, Tensor]) -> dict[str, list[nn.Parameter]]:
        """Find the parameters on which gradients are compared, by group."""
        model = self._model
        parameters = list(model.parameters())
        reached = reached_by_any(losses, list(losses), parameters, self._processes)
        model.note_reached(reached)
        shared = [each for each in model.shared_parameters() if each.requires_grad]
        if not self._look.layers:
            return {"all": shared} if shared else {}
        return layer_groups(model, shared)


class OwnGradients:
    """Compares the gradients of tasks in networks of their own, number by number.

    A backward pass leaves the gradient of each task in ``.grad`` of its own network, times the
    weight of the task, which changes no cosine. So they cost no further pass: T' x P numbers of
    memory, and their inner products.

    Args:
        tied: The networks.
    """

    def __init__(self, tied: Tied) -> None:
        self._tied = tied
        self._memory: Tensor | None = None

    def measured(self, tasks: Sequence[str], scale: float) -> Measured | None:
        """Return the inner products of what is in ``.grad``.

        Args:
            tasks: The tasks that have a loss; of others, parameters have no gradient.
            scale: The factor on the losses in backward passes.

        Returns:
            The products, of tasks whose networks train; None with fewer than two of them.
        """
        networks = {
            task: parameters
            for task, parameters in self._tied.counterparts().items()
            if task in tasks and any(each.requires_grad for each in parameters)
        }
        present = list(networks)
        same = zip(*networks.values(), strict=True)
        trained = [each for each in same if all(one.requires_grad for one in each)]
        if len(present) < 2 or not trained:
            return None
        rows = GradientRows([each[0] for each in trained], present, self._memory)
        self._memory = rows.memory
        for at in range(len(present)):
            rows.fill(at, [each[at].grad for each in trained], 1 / scale)
        return Measured(tuple(present), rows.gramian().cpu().numpy(), comparable=False)


def whole_norm(gradients: list[Tensor]) -> Tensor:
    """Return the norm of a gradient in pieces, any of which may be sparse.

    Pieces of one type, the usual case, skip the sorting by device and type that
    ``torch.nn.utils.get_total_norm`` does.
    """
    kinds = {(each.dtype, each.is_sparse) for each in gradients}
    if len(kinds) != 1 or kinds.pop()[1]:
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
