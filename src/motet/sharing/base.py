"""Sharing: the architecture that decides which parameters tasks have in common.

A `Sharing` holds the options of a scheme; ``build`` makes the module that maps inputs to one
representation per task.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor, nn


class SharedModule(nn.Module, ABC):
    """Maps inputs to ``{task: representation (B, width)}``."""

    width: int

    @abstractmethod
    def forward(self, inputs: Any, tasks: Sequence[str]) -> dict[str, Tensor]:
        """Compute the representations of ``tasks``, and nothing that only others need."""

    @abstractmethod
    def task_parameters(self, task: str) -> Iterator[nn.Parameter]:
        """Yield the parameters that only ``task`` reaches."""

    def penalty(self) -> Tensor | None:
        """Return the scheme's regulariser, added after balancing, or None."""
        return None


class Sharing(ABC):
    """Options of a sharing scheme."""

    @abstractmethod
    def build(self, stages: Sequence[nn.Module], tasks: Sequence[str], width: int) -> SharedModule:
        """Build the module.

        Args:
            stages: The encoder, cut into stages that are called one after the other; the first
                takes the inputs, the last gives (B, width).
            tasks: Names of the tasks.
            width: Width of the last stage's output.
        """
