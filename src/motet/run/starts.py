"""What a run takes of an earlier run."""

from dataclasses import dataclass
from typing import Any

ENCODER, INPUTS = "encoder", "inputs."
"""Parts of an earlier run; any other is a task."""


@dataclass(frozen=True)
class Start:
    """An earlier run, and what is taken of it."""

    path: str
    """Its folder, as the config names it."""
    run: Any
    """The `motet.run.runs.Run`; rows of runs, which know their starts, cannot name its type."""
    whole: bool
    """Whether all is taken that tasks share, and all inputs with it."""
    inputs: tuple[str, ...]
    """The inputs that are taken with what they learned."""
    tasks: tuple[str, ...]
    """The tasks whose heads are taken."""

    @property
    def parts(self) -> list[str]:
        """What is taken, as ``parts`` of a config has it."""
        shared = [ENCODER] if self.whole else [INPUTS + name for name in self.inputs]
        return [*shared, *self.tasks]

    @property
    def plain(self) -> dict[str, Any]:
        """What a run folder keeps of it."""
        return {"path": self.path, "parts": self.parts}
