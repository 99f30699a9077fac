"""A user's module that has its heads inside, in place of a sharing scheme."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, final

from torch import Tensor, nn

from motet.problems import InputError, hint, shown
from motet.sharing import SharedModule
from motet.tasks import Task


@final
class WrappedModule(SharedModule):
    """A module that returns ``{task: raw output}``.

    Args:
        module: The module.
        heads: Its modules that belong to one task alone, by task name, as far as they are known.
        tasks: Names of the tasks.
    """

    width = 0  # unknown: outputs go through as they are

    def __init__(
        self, module: nn.Module, heads: Mapping[str, nn.Module], tasks: Sequence[str]
    ) -> None:
        super().__init__()
        self.module = module
        self.declares_own = heads.keys() == set(tasks)
        in_heads = {id(part) for head in heads.values() for part in head.modules()}
        elsewhere = {
            id(parameter)
            for part in module.modules()
            if id(part) not in in_heads
            for parameter in part.parameters(recurse=False)
        }
        self._heads = {
            task: [parameter for parameter in head.parameters() if id(parameter) not in elsewhere]
            for task, head in heads.items()
        }

    def forward(self, inputs: Any, tasks: Sequence[str]) -> dict[str, Tensor]:
        outputs = self.module(inputs)
        if not isinstance(outputs, Mapping):
            raise InputError(
                f"the wrapped module returned {type(outputs).__name__}, expected {{task: tensor}}"
            )
        missing = [task for task in tasks if task not in outputs]
        if missing:
            raise InputError(
                f"the wrapped module returned {', '.join(map(str, outputs))}, "
                f"expected also {', '.join(missing)}"
            )
        return {task: outputs[task] for task in tasks}

    def chain(self) -> Sequence[nn.Module]:
        return [self.module]

    def task_parameters(self, task: str) -> Iterator[nn.Parameter]:
        yield from self._heads.get(task, ())

    def add_task(self, task: str) -> None:
        raise InputError(
            f"{task!r} cannot be added: a wrapped module has its heads inside; wrap a module that "
            "returns it, too"
        )


def check_wrapped(
    module: nn.Module,
    tasks: Sequence[Task],
    names: Sequence[str],
    heads: Mapping[str, nn.Module],
) -> None:
    """Reject what is no module, and options of tasks without effect where heads are inside of one.

    Args:
        module: The module.
        tasks: The tasks.
        names: Their names.
        heads: The modules in it that belong to one task alone.

    Raises:
        InputError: If there is such an option, one of the modules is none, or ``heads`` names an
            unknown task.
    """
    for what, each in (("module", module), *((f"heads[{n!r}]", h) for n, h in heads.items())):
        if not isinstance(each, nn.Module):
            raise InputError(f"{what}: found {shown(each)}, expected an nn.Module")
    for name in heads:
        if name not in names:
            raise InputError(f"heads names {name!r}, which is not a task; {hint(name, names)}")
    for task in tasks:
        if task.learning_rate is not None and task.name not in heads:
            raise InputError(
                f"task {task.name!r} has its own learning rate; name the part of the "
                f"module that it is for: wrap(..., heads={{{task.name!r}: module.part}})"
            )
        if task.reads_tasks:
            raise InputError(
                f"task {task.name!r} reads {', '.join(task.reads_tasks)}, but a wrapped module has "
                "its heads inside; let the module read them, and remove reads"
            )
        if task.head != {"type": "mlp"}:
            raise InputError(
                f"task {task.name!r} has its own head, but a wrapped module has its heads "
                "inside; remove head"
            )
