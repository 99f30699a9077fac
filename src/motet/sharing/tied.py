"""Schemes that tie a network of each task to those of the others in its group."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from torch import nn

Groups = Sequence[Sequence[str]]


@runtime_checkable
class Tied(Protocol):
    """A module in which tasks have networks of their own, tied within groups that may change."""

    @property
    def groups(self) -> list[list[str]]:
        """The groups in which tasks are tied now."""

    def counterparts(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """Return the tied parameters of each task that train, in the same order for all."""

    def regroup(self, groups: Groups) -> None:
        """Tie tasks within other groups from now on."""


def tied_in(sharing: nn.Module) -> Tied | None:
    """Return the module whose groups may change while training, if a scheme has one."""
    for module in sharing.modules():
        if isinstance(module, Tied):
            return module
    return None
