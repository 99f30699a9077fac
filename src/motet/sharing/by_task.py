"""Modules by task name."""

from collections.abc import Iterator, Mapping
from typing import Generic, Self, TypeVar

from torch import nn

M = TypeVar("M", bound=nn.Module)


class ByTask(nn.Module, Generic[M]):
    """Modules by task name. Unlike ``nn.ModuleDict`` it takes names such as "items" or "type"."""

    def __init__(self, modules: Mapping[str, M]) -> None:
        super().__init__()
        self._modules.update(modules)

    def add(self, task: str, module: M) -> None:
        """Add the module of a new task, the last."""
        self._modules[task] = module

    def train(self, mode: bool = True) -> Self:
        self.__dict__["training"] = mode  # the name of a module, if a task is called "training"
        for module in self:
            module.train(mode)
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The tasks."""
        return tuple(self._modules)

    def __getitem__(self, task: str) -> M:
        return self._modules[task]  # type: ignore[return-value]  # what __init__ put there

    def __iter__(self) -> Iterator[M]:
        return iter(self._modules.values())  # type: ignore[arg-type]  # what __init__ put there
