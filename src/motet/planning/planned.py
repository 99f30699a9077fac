"""What a plan consists of, and what carrying it out gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from motet.config import Config
from motet.run import Run, load


@dataclass(frozen=True)
class PlannedRun:
    """One run of a plan.

    Args:
        config: A YAML file, a mapping, or a `motet.Config`.
        name: Its name in the plan, a folder; from the config's file and a number if left out.
        overrides: Changes such as ``"training.epochs=3"``.
        tasks: The only tasks to train; all if left out.
    """

    config: str | Path | Mapping[str, Any] | Config
    name: str | None = None
    overrides: Sequence[str] = ()
    tasks: Sequence[str] | None = None


@dataclass(frozen=True)
class Work:
    """A run as a worker gets it."""

    name: str
    config: Path
    """The resolved config."""
    path: Path
    """The run folder."""


@dataclass(frozen=True)
class Outcome:
    """What became of a run."""

    name: str
    path: Path
    """The run folder."""
    status: Literal["finished", "failed", "stopped"]
    """``stopped`` by Ctrl-C: the run continues when `Plan.carry_out` is called again."""
    error: str = ""
    """Why it failed."""
    seconds: float = 0.0
    """How long this took; 0 if it was finished before."""

    def run(self) -> Run:
        """Load the finished run.

        Returns:
            The run.

        Raises:
            InputError: If it is not finished.
        """
        return load(self.path)
