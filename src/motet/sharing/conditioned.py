"""Task embeddings that condition the layers of any scheme."""

from collections.abc import Iterator, Sequence
from typing import Any, final

from torch import Tensor, nn

from motet.sharing.base import Representation, SharedModule, Sharing
from motet.sharing.by_task import ByTask
from motet.sharing.features import Features
from motet.sharing.stages import Stages, Wrapped
from motet.states import TokenStates

DEFAULT_WIDTH = 64


@final
class Conditioned(Sharing):
    """Tell the layers which task they compute for, by a learned vector of the task.

    What a stage gives, z, becomes z (1 + γₖ) + βₖ for task k, feature by feature; γₖ and βₖ are a
    linear map of the embedding of the task (FiLM: Perez et al., AAAI 2018, arXiv:1709.07871). The
    map starts at zero, so that training starts from the scheme without embeddings.

    Cost: stages run once for each task, as what they compute differs.

    Args:
        scheme: How the tasks share.
        width: Width of the embeddings.
    """

    def __init__(self, scheme: Sharing, width: int = DEFAULT_WIDTH) -> None:
        self.scheme, self.width = scheme, width
        self.reads_tokens = scheme.reads_tokens

    def build(self, stages: Sequence[nn.Module], tasks: Sequence[str], width: int) -> SharedModule:
        stages = Stages.of(stages)
        last = len(stages) - 1

        def film(place: int, stage: nn.Module) -> nn.Module:
            features = Features(width) if place == last else stages.features(place)
            return _Film(stage, features, self.width)

        inner = self.scheme.build(stages.wrapped(film), tasks, width)
        return _ConditionedModule(inner, tasks, self.width)


class _Film(Wrapped):
    """A stage, and what the current task makes of its features."""

    def __init__(self, stage: nn.Module, features: Features, width: int) -> None:
        super().__init__(stage)
        self.features = features
        self.map = nn.Linear(width, 2 * features.width)
        self.embedding: Tensor | None = None  # of the task that is computed now
        self.width = features.width
        self._no_effect_at_first()

    def reset_parameters(self) -> None:
        self._no_effect_at_first()

    def _no_effect_at_first(self) -> None:
        nn.init.zeros_(self.map.weight)
        nn.init.zeros_(self.map.bias)

    def forward(self, inputs: Any) -> Representation:
        state: Representation = self.stage(inputs)
        if isinstance(state, Tensor):
            return self._shifted(state)
        return TokenStates(self._shifted(state.states), state.padding, self._shifted(state.pooled))

    def _shifted(self, state: Tensor) -> Tensor:
        self.features.check(state)
        assert self.embedding is not None
        gamma, beta = self.map(self.embedding).chunk(2)
        return state * (1 + self.features.along(gamma, state)) + self.features.along(beta, state)


class _ConditionedModule(SharedModule):
    def __init__(self, inner: SharedModule, tasks: Sequence[str], width: int) -> None:
        super().__init__()
        self.inner = inner
        self.embeddings = ByTask({task: nn.Embedding(1, width) for task in tasks})
        self.width = inner.width
        self._films = [module for module in inner.modules() if isinstance(module, _Film)]

    def forward(self, inputs: Any, tasks: Sequence[str]) -> dict[str, Representation]:
        states: dict[str, Representation] = {}
        try:
            for task in tasks:
                self._tell(self.embeddings[task].weight[0])
                states |= self.inner(inputs, [task])
        finally:
            self._tell(None)
        return states

    def _tell(self, embedding: Tensor | None) -> None:
        for film in self._films:
            film.embedding = embedding

    def task_parameters(self, task: str) -> Iterator[nn.Parameter]:
        yield from self.embeddings[task].parameters()
        yield from self.inner.task_parameters(task)

    def penalty(self, tasks: Sequence[str] | None = None) -> Tensor | None:
        return self.inner.penalty(tasks)

    def trained_at(self, epoch: float, tasks: Sequence[str]) -> list[str]:
        return self.inner.trained_at(epoch, tasks)

    def after_step(self, rate: float, tasks: Sequence[str] | None = None) -> None:
        self.inner.after_step(rate, tasks)

    def describe(self) -> dict[str, Any]:
        return self.inner.describe()
