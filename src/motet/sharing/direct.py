"""Tasks that read what the encoder gives, beside those of a scheme that does not carry it."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, final

from torch import Tensor, nn

from motet.sharing.base import Representation, SharedModule


@final
class Direct(SharedModule):
    """Gives some tasks the states of the encoder, such as one per token.

    Cost: where a step computes tasks of both kinds, the encoder runs once more.

    Args:
        scheme: What the other tasks share, the encoder included.
        stages: The encoder, whose modules are those within the scheme.
        direct: Names of the tasks that read it.
    """

    def __init__(
        self, scheme: SharedModule, stages: Iterable[nn.Module], direct: Iterable[str]
    ) -> None:
        super().__init__()
        self.scheme, self.width, self.declares_own = scheme, scheme.width, scheme.declares_own
        self._stages = tuple(stages)  # not as modules: they are those of the scheme
        self.direct = frozenset(direct)

    def forward(self, inputs: Any, tasks: Sequence[str]) -> dict[str, Representation]:
        others = self._others(tasks)
        found: dict[str, Representation] = {}
        if others:
            found |= self.scheme(inputs, others)
        if len(others) < len(tasks):
            state = inputs
            for stage in self._stages:
                state = stage(state)
            found |= dict.fromkeys(self.direct, state)
        return {task: found[task] for task in tasks}

    def task_parameters(self, task: str) -> Iterator[nn.Parameter]:
        if task not in self.direct:
            yield from self.scheme.task_parameters(task)

    def penalty(self, tasks: Sequence[str] | None = None) -> Tensor | None:
        return self.scheme.penalty(None if tasks is None else self._others(tasks))

    def after_step(self, rate: float, tasks: Sequence[str] | None = None) -> None:
        self.scheme.after_step(rate, None if tasks is None else self._others(tasks))

    def describe(self) -> dict[str, Any]:
        return self.scheme.describe()

    def _others(self, tasks: Sequence[str]) -> list[str]:
        return [task for task in tasks if task not in self.direct]
