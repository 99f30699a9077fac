"""Task embeddings that condition the layers of any scheme."""

from collections.abc import Iterator, Sequence
from threading import local
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
    """Condition the layers on the task that they compute for, by a learned vector of the task.

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
        # one of several states by name may have another width than the last stage declares
        self.carries = ("rows", "tokens", "map") if scheme.carries == "any" else scheme.carries

    def build(self, stages: Sequence[nn.Module], tasks: Sequence[str], width: int) -> SharedModule:
        stages = Stages.of(stages)
        read = stages.read_at(range(len(stages)), width)

        def film(place: int, stage: nn.Module) -> nn.Module:
            return _Film(stage, read[place], self.width)

        inner = self.scheme.build(stages.wrapped(film), tasks, width)
        return _ConditionedModule(inner, tasks, self.width)


class _Call(local):
    """What is passed with a state through any scheme, which calls stages with the state alone.

    Each thread has its own, so that requests to one model do not mix; a ``ContextVar`` would do the
    same, but cannot be compiled.
    """

    embedding: Tensor | None = None
    """The embedding of the task being computed."""


_CALL = _Call()


class _Film(Wrapped):
    """A stage whose features are scaled and shifted for the task."""

    def __init__(self, stage: nn.Module, features: Features, width: int) -> None:
        super().__init__(stage)
        self.features = features
        self.map = nn.Linear(width, 2 * features.width)
        self.width = features.width
        self._no_effect_at_first()

    def reset_parameters(self) -> None:
        self._no_effect_at_first()

    def _no_effect_at_first(self) -> None:
        nn.init.zeros_(self.map.weight)
        nn.init.zeros_(self.map.bias)

    def forward(self, inputs: Any) -> Tensor | TokenStates:
        state: Tensor | TokenStates = self.stage(inputs)
        if isinstance(state, Tensor):
            return self._shifted(state)
        return TokenStates(self._shifted(state.states), state.padding, self._shifted(state.pooled))

    def _shifted(self, state: Tensor) -> Tensor:
        self.features.check(state)
        gamma, beta = self.map(_CALL.embedding).chunk(2)
        return state * (1 + self.features.along(gamma, state)) + self.features.along(beta, state)


class _ConditionedModule(SharedModule):
    def __init__(self, inner: SharedModule, tasks: Sequence[str], width: int) -> None:
        super().__init__()
        self.inner = inner
        self.embeddings = ByTask({task: nn.Embedding(1, width) for task in tasks})
        self.width = inner.width

    def forward(self, inputs: Any, tasks: Sequence[str]) -> dict[str, Representation]:
        states: dict[str, Representation] = {}
        outer = _CALL.embedding
        try:
            for task in tasks:
                _CALL.embedding = self.embeddings[task].weight[0]
                states |= self.inner(inputs, [task])
        finally:
            _CALL.embedding = outer
        return states

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
