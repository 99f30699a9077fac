"""Cross-stitch networks: a network per task, whose streams are mixed by learned matrices."""

from collections.abc import Iterator
from typing import Any, Literal, final

import torch
from torch import Tensor, nn

from motet.options import PositiveFloat, PositiveInt, Sequence, checked
from motet.sharing.base import SharedModule, Sharing, Special
from motet.sharing.by_task import ByTask
from motet.sharing.features import Features
from motet.sharing.stages import Stages


@final
class CrossStitch(Sharing):
    """Mix the streams of networks of tasks (Misra et al., CVPR 2016, arXiv:1604.03539).

    Each task has its own network, a column. After a stage, the states x (T, ...) of all
    columns become A x. The matrix A (T, T) is learned and begins with 0.9 for a task itself and 0.1
    shared among the others.

    Cost: a network per task, of which all run up to the last stitch, whatever tasks are asked for.

    Args:
        layers: The stages after which streams are mixed, counted from 1; after each that has
            weights (other than embeddings) if left out.
        units: Whether a layer has one matrix, or each of its channels one.
        rate: Factor on the learning rate for the matrices. The paper takes 100 to 1000, with SGD;
            optimizers that scale every step, such as Adam, need less.
    """

    carries = ("rows", "map")

    @checked
    def __init__(
        self,
        *,
        layers: Sequence[PositiveInt] | None = None,
        units: Literal["layer", "channel"] = "layer",
        rate: PositiveFloat = 10.0,
    ) -> None:
        self.layers, self.units, self.rate = layers, units, rate

    def build(self, stages: Sequence[nn.Module], tasks: Sequence[str], width: int) -> SharedModule:
        stages = Stages.of(stages)
        places = stages.places(self.layers, "layers")
        mixed: dict[int, Features | None] = dict.fromkeys(places)
        if self.units == "channel":
            mixed = dict(stages.read_at(places, width))
        return _CrossStitchModule(stages, mixed, tasks, width, self.rate)


class _CrossStitchModule(SharedModule):
    """``stitch`` (U, T, T): a matrix for each unit, those of the first mixed layer first."""

    def __init__(
        self,
        stages: Stages,
        mixed: dict[int, Features | None],
        tasks: Sequence[str],
        width: int,
        rate: float,
    ) -> None:
        super().__init__()
        self.tasks, self.width, self._rate = list(tasks), width, rate
        columns = stages.copies(len(tasks))
        self._end = end = max(mixed, default=-1) + 1
        first = {task: nn.ModuleList(column[:end]) for task, column in self._named(columns)}
        rest = {
            task: column[end:].chain() if end < len(stages) else nn.Identity()
            for task, column in self._named(columns)
        }
        self.columns, self.own = ByTask(first), ByTask(rest)
        self._mixed = mixed
        self._units = [1 if each is None else each.width for each in mixed.values()]
        self.stitch = nn.Parameter(_first(len(tasks)).repeat(sum(self._units), 1, 1))

    def _named(self, each: Sequence[Any]) -> Iterator[tuple[str, Any]]:
        return zip(self.tasks, each, strict=True)

    def forward(self, inputs: Any, tasks: Sequence[str]) -> dict[str, Tensor]:
        asked = [self.tasks.index(task) for task in tasks]
        if not self._end:  # nothing is mixed
            return {task: self.own[task](inputs) for task in tasks}
        states = [inputs] * len(self.tasks)
        matrices = self._matrices()
        for place in range(self._end):
            states = [
                column[place](state) for column, state in zip(self.columns, states, strict=True)
            ]
            if place in matrices:
                matrix = matrices[place]
                matrix = matrix[:, asked] if place == self._end - 1 else matrix
                states = list(self._stitched(place, matrix, states))
        return {task: self.own[task](state) for task, state in zip(tasks, states, strict=True)}

    def _matrices(self) -> dict[int, Tensor]:
        """Return the matrices (1 or D, T, T) by the place of their stage."""
        parts = torch.split(self.stitch, self._units) if self._units else ()
        return dict(zip(self._mixed, parts, strict=True))

    def _stitched(self, place: int, matrix: Tensor, states: list[Tensor]) -> Iterator[Tensor]:
        # K states for the rows of a matrix (1 or D, K, T). Each is a tensor of its own: slices of
        # one need not be aligned in memory, and products of what is not round differently.
        features = self._mixed[place]
        if features is None:
            flat = torch.stack(states).flatten(1)
            for row in matrix[0].to(flat.dtype):
                yield (row @ flat).view_as(states[0])
            return
        features.check(states[0])
        for rows in matrix.unbind(dim=1):
            mixed = torch.zeros_like(states[0])
            for values, state in zip(rows.unbind(dim=1), states, strict=True):
                mixed = mixed + features.along(values.to(state.dtype), state) * state
            yield mixed

    def task_parameters(self, task: str) -> Iterator[nn.Parameter]:
        yield from self.own[task].parameters()

    def describe(self) -> dict[str, Any]:
        """Return how each task weighs the streams, after each stage; the mean over channels."""
        return {
            "stitch": {
                f"stage {place + 1}": dict(self._named(matrix.mean(dim=0).tolist()))
                for place, matrix in self._matrices().items()
            }
        }

    def special_parameters(self) -> Iterator[tuple[nn.Parameter, Special]]:
        yield self.stitch, Special(rate=self._rate, decays=False)


def _first(count: int) -> Tensor:
    if count == 1:
        return torch.ones(1, 1)
    return torch.full((count, count), 0.1 / (count - 1)).fill_diagonal_(0.9)
