"""Hard sharing: one encoder for all tasks."""

from collections.abc import Iterator
from typing import Any, final

from torch import Tensor, nn

from motet.options import PositiveInt, Sequence, checked
from motet.sharing.base import SharedModule, Sharing


@final
class Hard(Sharing):
    """Share the whole encoder; each task adds only its head (Caruana, Machine Learning 1997).

    Args:
        shared_width: Width of one more shared layer (linear, ReLU) between the encoder and the
            heads; none if left out.
    """

    @checked
    def __init__(self, *, shared_width: PositiveInt | None = None) -> None:
        self.shared_width = shared_width

    def build(self, stages: Sequence[nn.Module], tasks: Sequence[str], width: int) -> SharedModule:
        layers = list(stages)
        if self.shared_width is not None:
            layers.append(nn.Sequential(nn.Linear(width, self.shared_width), nn.ReLU()))
        return _HardModule(layers, self.shared_width or width)


class _HardModule(SharedModule):
    def __init__(self, stages: Sequence[nn.Module], width: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.width = width

    def forward(self, inputs: Any, tasks: Sequence[str]) -> dict[str, Tensor]:
        state = inputs
        for stage in self.stages:
            state = stage(state)
        return dict.fromkeys(tasks, state)

    def task_parameters(self, task: str) -> Iterator[nn.Parameter]:
        yield from ()
