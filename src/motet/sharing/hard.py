"""Hard sharing: one encoder for all tasks."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any, final

from torch import Tensor, nn

from motet.options import NonNegativeInt, PositiveInt, Sequence, checked
from motet.problems import InputError
from motet.sharing.base import Representation, SharedModule, Sharing
from motet.sharing.by_task import ByTask
from motet.sharing.features import Features
from motet.sharing.first_weights import draw_first_weights
from motet.sharing.stages import Stages
from motet.states import TokenStates


@final
class Hard(Sharing):
    """Share the encoder, or its first stages; each task adds its head (Caruana, ML 1997).

    Args:
        shared_layers: How many stages of the encoder the tasks share; all but ``task_layers`` if
            left out.
        task_layers: How many of the last stages each task has of its own; those that are not shared
            if left out.
        shared_width: Width of one more shared layer (linear, ReLU) between the encoder and the
            heads; none if left out.
    """

    @checked
    def __init__(
        self,
        *,
        shared_layers: PositiveInt | None = None,
        task_layers: NonNegativeInt | None = None,
        shared_width: PositiveInt | None = None,
    ) -> None:
        self.shared_layers, self.task_layers = shared_layers, task_layers
        self.shared_width = shared_width
        self.carries = "any" if shared_width is None else ("rows", "tokens", "map")

    def build(self, stages: Sequence[nn.Module], tasks: Sequence[str], width: int) -> SharedModule:
        stages = Stages.of(stages)
        count = self._shared(stages)
        if count < len(stages):
            own = stages[count:].copies(len(tasks))
            towers = {task: copy.chain() for task, copy in zip(tasks, own, strict=True)}
            return _HardModule(list(stages[:count]), ByTask(towers), width)
        layers = list(stages) if stages.whole is None else [stages.whole]
        if self.shared_width is not None:
            layers.append(_Layer(stages.output(width), self.shared_width))
        return _HardModule(layers, None, self.shared_width or width)

    def _shared(self, stages: Stages) -> int:
        """Return how many stages are shared."""
        count, shared, own = len(stages), self.shared_layers, self.task_layers
        if shared is None:
            shared = count - (own or 0)
        own = count - shared if own is None else own
        if shared < 1 or own < 0 or shared + own != count:
            given = {"shared_layers": self.shared_layers, "task_layers": self.task_layers}
            asked = {name: number for name, number in given.items() if number is not None}
            option, *other = asked
            with_other = "".join(f" with {name}: {asked[name]}" for name in other)
            counted = stages.counted()
            found = f"found {asked[option]}{with_other}, but the encoder has {counted}"
            if count == 1:
                raise InputError(
                    f"{found}, which tasks share; leave shared_layers and task_layers out (heads "
                    "give tasks layers of their own, for example head: {hidden: [64]})"
                    + stages.advice(),
                    option=option,
                )
            raise InputError(
                f"{found}; give numbers that add up to that, at least one of them shared, or leave "
                "one out",
                option=option,
            )
        if own and self.shared_width is not None:
            raise InputError(
                "found it with task_layers; it adds a shared layer before the heads, where with "
                "task_layers nothing is shared; remove one of them",
                option="shared_width",
            )
        return shared


class _Layer(nn.Sequential):
    """The same for every row, for every place of a map, or for every token and for the row."""

    def __init__(self, features: Features, width: int) -> None:
        super().__init__(nn.Linear(features.width, width), nn.ReLU())
        self._channels_first = features.channels_first

    def forward(self, state: Tensor | TokenStates) -> Tensor | TokenStates:
        if isinstance(state, TokenStates):
            states, padding, pooled = state
            return TokenStates(self._layers(states), padding, self._layers(pooled))
        if self._channels_first and state.dim() > 2:
            return self._layers(state.movedim(1, -1)).movedim(-1, 1)
        return self._layers(state)

    def _layers(self, state: Tensor) -> Tensor:
        for layer in self:
            state = layer(state)
        return state


class _HardModule(SharedModule):
    def __init__(
        self, stages: Sequence[nn.Module], own: ByTask[nn.Module] | None, width: int
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.own = own
        self.width = width

    def forward(self, inputs: Any, tasks: Sequence[str]) -> dict[str, Representation]:
        state = inputs
        for stage in self.stages:
            state = stage(state)
        if self.own is None:
            return dict.fromkeys(tasks, state)
        return {task: self.own[task](state) for task in tasks}

    def chain(self) -> Sequence[nn.Module]:
        return list(self.stages)

    def task_parameters(self, task: str) -> Iterator[nn.Parameter]:
        if self.own is not None:
            yield from self.own[task].parameters()

    def add_task(self, task: str) -> None:
        if self.own is not None:
            tower = deepcopy(next(iter(self.own)))
            draw_first_weights(tower)
            self.own.add(task, tower)
