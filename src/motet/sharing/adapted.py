"""Tasks that read the same encoder, each with adapters of its own in it."""

from collections.abc import Iterator, Sequence
from typing import Any, final

from torch import Tensor, nn

from motet.adapting import CommonResults, per_task_modules, task_in_use
from motet.problems import InputError
from motet.sharing.base import Representation, SharedModule, Sharing
from motet.sharing.hard import Hard


@final
class Adapted(SharedModule):
    """Computes a scheme once for each task, with the weights that its encoders have for the task.

    What does not depend on the task is computed once: other encoders, and frozen layers below the
    first adapter.

    Args:
        scheme: The scheme, its encoders included.
        tasks: Names of the tasks.
    """

    def __init__(self, scheme: SharedModule, tasks: Sequence[str]) -> None:
        super().__init__()
        self.scheme, self.width, self.declares_own = scheme, scheme.width, scheme.declares_own
        for task in tasks:
            for each in per_task_modules(scheme):
                each.add_task(task)

    def forward(self, inputs: Any, tasks: Sequence[str]) -> dict[str, Representation]:
        found: dict[str, Representation] = {}
        with CommonResults(self.scheme) as common:
            for task in tasks:
                common.begin()
                with task_in_use(self.scheme, task):
                    found |= self.scheme(inputs, [task])
        return found

    def task_parameters(self, task: str) -> Iterator[nn.Parameter]:
        yield from self.scheme.task_parameters(task)
        for each in per_task_modules(self.scheme):
            yield from each.task_parameters(task)

    def add_task(self, task: str) -> None:
        self.scheme.add_task(task)
        for each in per_task_modules(self.scheme):
            each.add_task(task)

    def chain(self) -> Sequence[nn.Module]:
        return self.scheme.chain()

    def penalty(self, tasks: Sequence[str] | None = None) -> Tensor | None:
        return self.scheme.penalty(tasks)

    def after_step(self, rate: float, tasks: Sequence[str] | None = None) -> None:
        self.scheme.after_step(rate, tasks)

    def describe(self) -> dict[str, Any]:
        return self.scheme.describe()


def with_adapters(
    scheme: SharedModule, sharing: Sharing, tasks: Sequence[str], auxiliary: Sequence[str]
) -> SharedModule:
    """Let tasks compute with their own adapters, if encoders have some for each.

    Args:
        scheme: The scheme.
        sharing: Its options.
        tasks: Names of all tasks.
        auxiliary: Names of those that are trained for others.

    Returns:
        The scheme, or what computes it for each task.

    Raises:
        InputError: If the scheme, or an auxiliary task, does not fit adapters per task.
    """
    if not per_task_modules(scheme):
        return scheme
    if not isinstance(sharing, Hard):
        raise InputError(
            f"found {type(sharing).__name__} and an encoder with adapters per task, which give "
            "tasks states of their own that no scheme joins; leave sharing out, or remove per_task "
            "of the adapter",
            option="type",
        )
    if auxiliary:
        raise InputError(
            f"auxiliary task {auxiliary[0]!r} would train an adapter of its own, of which the "
            "other tasks have nothing; remove it, or per_task of the adapter"
        )
    return Adapted(scheme, tasks)
