"""Sharing: the architecture that decides which parameters tasks have in common.

A `Sharing` holds the options of a scheme; ``build`` makes the module that maps inputs to one
representation per task.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

from motet.problems import InputError
from motet.states import State

Representation = State


class Special(NamedTuple):
    """How the optimizer treats a parameter that is not an ordinary weight."""

    rate: float = 1.0
    """Factor on the learning rate."""
    decays: bool = True
    """Whether weight decay applies."""


@runtime_checkable
class HasSpecial(Protocol):
    """A module with such parameters."""

    def special_parameters(self) -> Iterator[tuple[nn.Parameter, Special]]:
        """Yield them."""


class SharedModule(nn.Module, ABC):
    """Maps inputs to ``{task: representation}``: (B, width), or another of `motet.states`."""

    width: int
    declares_own: bool = True
    """Whether `task_parameters` is complete, so that all other parameters are shared."""

    @abstractmethod
    def forward(self, inputs: Any, tasks: Sequence[str]) -> Mapping[str, Representation]:
        """Compute the representations of ``tasks``, and nothing that only others need."""

    @abstractmethod
    def task_parameters(self, task: str) -> Iterator[nn.Parameter]:
        """Yield the parameters that only ``task`` reaches; all others are shared."""

    def add_task(self, task: str) -> None:
        """Make what a new task needs; the others compute what they did.

        Raises:
            InputError: If the scheme cannot take a task later.
        """
        raise InputError(
            f"{task!r} cannot be added: this sharing scheme takes all its tasks at once; hard and "
            "progressive (without groups and task_embedding) take more later"
        )

    def chain(self) -> Sequence[nn.Module]:
        """Return the modules that inputs go through in turn, if they are the same for all tasks."""
        return ()

    def penalty(self, tasks: Sequence[str] | None = None) -> Tensor | None:
        """Return the scheme's regulariser, added after balancing, or None.

        Args:
            tasks: The enabled tasks; what only others reach is left out. All if left out.
        """
        return None

    def trained_at(self, epoch: float, tasks: Sequence[str]) -> list[str]:
        """Return which tasks train in an epoch; the others are not even computed.

        Args:
            epoch: Counted from 1; infinity for those that train last.
            tasks: The enabled tasks.
        """
        return list(tasks)

    def after_step(self, rate: float, tasks: Sequence[str] | None = None) -> None:
        """Act on the parameters after a step of the optimizer; `Trainer` calls it.

        Args:
            rate: The step's learning rate.
            tasks: The enabled tasks; what only others reach stays. All if left out.
        """

    def describe(self) -> dict[str, Any]:
        """Return what was learned or drawn about sharing, as plain values; logged each epoch."""
        return {}

    def special_parameters(self) -> Iterator[tuple[nn.Parameter, Special]]:
        """Yield the parameters that an optimizer should treat differently, and how.

        Those are what the submodules that have such a method yield.
        """
        yield from _special(self)


class Sharing(ABC):
    """Options of a sharing scheme."""

    carries: tuple[str, ...] | Literal["any"] = ("rows",)
    """The states that it can pass from the encoder to tasks, by the names of `motet.states`; "any"
    if it never computes with them."""
    keeps_encoder: bool = False
    """Whether all tasks read what one encoder gives, so that auxiliary tasks may read states of it
    that the scheme does not carry."""

    @abstractmethod
    def build(self, stages: Sequence[nn.Module], tasks: Sequence[str], width: int) -> SharedModule:
        """Build the module.

        Args:
            stages: The encoder, cut into stages that are called one after the other; the first
                takes the inputs, the last gives (B, width). `Stages.of` adds what is known of them.
            tasks: Names of the tasks.
            width: Width of the last stage's output.
        """


def _special(module: nn.Module) -> Iterator[tuple[nn.Parameter, Special]]:
    for part in module.children():
        yield from part.special_parameters() if isinstance(part, HasSpecial) else _special(part)
