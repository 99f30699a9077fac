"""Schemes that tie a network of each task to those of the others in its group."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from motet.options.mappings import RegroupingOptions

Groups = Sequence[Sequence[str]]


@runtime_checkable
class Tied(Protocol):
    """A module in which tasks have networks of their own, tied within groups that change.

    The networks of all tasks start from the same weights.
    """

    found: RegroupingOptions
    """How the groups are found."""

    @property
    def groups(self) -> list[list[str]]:
        """The groups in which tasks are tied now."""

    def counterparts(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """Return the tied parameters of each task, in the same order for all."""

    def regroup(self, groups: Groups) -> None:
        """Tie tasks within other groups from now on."""


class CurrentGroups(nn.Module):
    """The current groups of tasks, part of the model's state, and so of every checkpoint.

    Args:
        tasks: The tasks, one group at first.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__()
        self._tasks = list(tasks)
        self.groups = [self._tasks]

    def get_extra_state(self) -> Tensor:
        """Return the number of each task's group, (T,)."""
        number = {task: at for at, group in enumerate(self.groups) for task in group}
        return torch.tensor([number[task] for task in self._tasks])

    def set_extra_state(self, state: Tensor) -> None:
        """Take the groups of a saved state."""
        numbers = state.tolist()
        pairs = list(zip(self._tasks, numbers, strict=True))
        self.groups = [[t for t, own in pairs if own == each] for each in dict.fromkeys(numbers)]


def tied_in(sharing: nn.Module) -> Tied | None:
    """Return the module whose groups change while training, if a scheme has one."""
    for module in sharing.modules():
        if isinstance(module, Tied):
            return module
    return None
