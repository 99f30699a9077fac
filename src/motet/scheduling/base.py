"""The interface of schedulers: which tasks train at a step.

A scheduler that draws at random seeds a generator with (seed, step), so that a resumed run draws
what an uninterrupted one would have drawn. Any other memory is a buffer, which is saved in
checkpoints. What a scheduler must know of training, it declares in ``needs``; the training loop
reads that in one place, `motet.training.facts`, and fills in ``facts``, or calls ``observe_...``.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from torch import nn

from motet.problems import InputError

Need = Literal["rows", "own_rows", "priorities", "progress", "scores", "losses"]
"""What a scheduler can need: ``facts.rows``, ``facts.priorities`` and ``facts.progress``; a call of
``observe_scores`` after each evaluation, of ``observe_losses`` after each step; and ``own_rows``: a
batch of its own labelled rows for each task at each step, each of the same size."""
NEEDS: tuple[str, ...] = get_args(Need)


@dataclass(frozen=True)
class Progress:
    """How far training is."""

    epoch: int
    """The epoch in progress, counted from 1."""
    epochs: int
    """Epochs in all."""
    done: float = 0.0
    """Share of the epoch that is done."""

    @property
    def share(self) -> float:
        """Share of the whole training that is done, in [0, 1]."""
        return min((self.epoch - 1 + self.done) / self.epochs, 1.0)


@dataclass
class Facts:
    """What training knows, by the names in ``needs``; None while it is unknown."""

    seed: int = 0
    """Seed of all draws, that of the training."""
    rows: Mapping[str, int] | None = None
    """Number of labelled training rows by task."""
    progress: Progress | None = None
    """How far training is, at every step."""
    priorities: Mapping[str, str] = field(default_factory=dict)
    """Priority by task; "normal" where a task is left out."""


class Scheduler(nn.Module, ABC):
    """Chooses the tasks of each training step.

    Args:
        tasks: Names of all tasks of the model.
    """

    needs: frozenset[Need] = frozenset()
    """What it must know of training."""
    partial: bool = True
    """Whether a step may train some of the tasks alone."""
    tasks_per_step: int = 1
    """Number of tasks of a draw; more if it depends."""
    combine: Literal["cycle"] | None = None
    """"cycle" makes one optimizer step of all draws until every task was drawn."""

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        self.facts = Facts()

    @property
    def counts_steps(self) -> bool:
        """Whether tasks may train in different numbers of steps, or on different rows."""
        return self.partial or "own_rows" in self.needs

    @abstractmethod
    def tasks_for(self, step: int, tasks: Sequence[str]) -> Sequence[str]:
        """Return the tasks that train at a step, at least one; called once per step, in order.

        Args:
            step: Steps made before; with ``combine`` the draws made before.
            tasks: The tasks to choose from: those that are enabled and that the sharing scheme
                trains in this epoch.
        """

    def probabilities(self, tasks: Sequence[str]) -> Sequence[float] | None:
        """Return how likely each task is to be drawn first; None where nothing is drawn."""
        return None

    def waiting(self, tasks: Sequence[str]) -> Sequence[str]:
        """Return the tasks that cannot be chosen yet and will be, as in a curriculum."""
        return ()

    def observe_scores(self, scores: Mapping[str, float]) -> None:
        """Learn from the normalised scores of an evaluation; called if ``needs`` has "scores"."""

    def observe_losses(self, losses: Mapping[str, float]) -> None:
        """Learn from the losses of a step; called if ``needs`` has "losses"."""

    @property
    def rows(self) -> Mapping[str, int]:
        """Number of labelled training rows by task.

        Raises:
            InputError: If no training data were seen yet.
        """
        if self.facts.rows is None:
            raise InputError(
                f"{type(self).__name__} reads the number of labelled rows of each task, which is "
                "not known yet; train with Trainer.fit or train_epoch, which count them"
            )
        return self.facts.rows

    @property
    def progress(self) -> Progress:
        """How far training is.

        Raises:
            InputError: If the number of epochs is unknown.
        """
        if self.facts.progress is None:
            raise InputError(
                f"{type(self).__name__} reads how far training is, which is not known here; train "
                "with Trainer.fit, which is given the number of epochs"
            )
        return self.facts.progress


def checked_count(tasks_per_step: int, tasks: Sequence[str]) -> int:
    """Return a number of tasks per step.

    Raises:
        InputError: If there are fewer tasks.
    """
    if tasks_per_step > max(len(tasks), 1):
        raise InputError(
            f"found {tasks_per_step}; expected at most {len(tasks)}, the number of tasks",
            option="tasks_per_step",
        )
    return tasks_per_step
