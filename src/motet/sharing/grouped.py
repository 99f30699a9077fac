"""Groups of tasks, each sharing on its own."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, final

from torch import Tensor, nn

from motet.problems import InputError, hint
from motet.sharing.base import Representation, SharedModule, Sharing
from motet.sharing.stages import Stages


@final
class Grouped(Sharing):
    """Share within groups of tasks, by any scheme, and nothing between groups.

    Args:
        scheme: How the tasks of a group share.
        groups: The groups; every task is in one of them.
    """

    def __init__(self, scheme: Sharing, groups: Sequence[Sequence[str]]) -> None:
        self.scheme, self.groups = scheme, [list(group) for group in groups]
        self.carries = scheme.carries

    def build(self, stages: Sequence[nn.Module], tasks: Sequence[str], width: int) -> SharedModule:
        self._check(tasks)
        copies = Stages.of(stages).copies(len(self.groups))
        parts = [
            self.scheme.build(copy, group, width)
            for copy, group in zip(copies, self.groups, strict=True)
        ]
        return _GroupedModule(parts, self.groups)

    def _check(self, tasks: Sequence[str]) -> None:
        named = list(chain(*self.groups))
        for task in named:
            if task not in tasks:
                raise InputError(
                    f"found {task!r}, which is not a task; {hint(task, tasks)}", option="groups"
                )
            if named.count(task) > 1:
                raise InputError(
                    f"found task {task!r} twice, expected each task in one group", option="groups"
                )
        missing = [task for task in tasks if task not in named]
        if missing:
            raise InputError(
                f"found no group with {', '.join(missing)}, expected each task in one group, which "
                "it may have alone",
                option="groups",
            )
        if not all(self.groups):
            raise InputError("found a group without tasks; remove it", option="groups")


class _GroupedModule(SharedModule):
    def __init__(self, parts: Sequence[SharedModule], groups: Sequence[Sequence[str]]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.groups = groups
        self.width = parts[0].width

    def _pairs(self) -> Iterator[tuple[SharedModule, Sequence[str]]]:
        for part, group in zip(self.parts, self.groups, strict=True):
            assert isinstance(part, SharedModule)
            yield part, group

    def forward(self, inputs: Any, tasks: Sequence[str]) -> dict[str, Representation]:
        states: dict[str, Representation] = {}
        for part, group in self._pairs():
            asked = [task for task in tasks if task in group]
            if asked:
                states |= part(inputs, asked)
        return {task: states[task] for task in tasks}

    def task_parameters(self, task: str) -> Iterator[nn.Parameter]:
        part, group = next(pair for pair in self._pairs() if task in pair[1])
        yield from part.parameters() if len(group) == 1 else part.task_parameters(task)

    def penalty(self, tasks: Sequence[str] | None = None) -> Tensor | None:
        found: Tensor | None = None
        for part, group in self._pairs():
            enabled = [task for task in group if tasks is None or task in tasks]
            each = part.penalty(enabled) if enabled else None
            if each is not None:
                found = each if found is None else found + each
        return found

    def trained_at(self, epoch: float, tasks: Sequence[str]) -> list[str]:
        groups = ([task for task in tasks if task in group] for _, group in self._pairs())
        pairs = zip(self._pairs(), groups, strict=True)
        found = {task for (part, _), asked in pairs for task in part.trained_at(epoch, asked)}
        return [task for task in tasks if task in found]

    def after_step(self, rate: float, tasks: Sequence[str] | None = None) -> None:
        for part, group in self._pairs():
            part.after_step(rate, [task for task in group if tasks is None or task in tasks])

    def describe(self) -> dict[str, Any]:
        parts = {", ".join(group): part.describe() for part, group in self._pairs()}
        return {group: described for group, described in parts.items() if described}
