"""What a balancer may read from the training loop beyond losses or gradients, one protocol each.

A balancer takes part in a protocol by having its methods and attributes, which its `Needs` record;
the loop then makes the calls. `motet.backward` and `motet.Trainer` make all of theirs. A balancer
that cannot work without a call declares it by `Balancer.expect`.
"""

from collections.abc import Callable, Mapping
from typing import Literal, Protocol, runtime_checkable

from torch import Tensor, distributed, nn
from torch.optim import Optimizer


@runtime_checkable
class KnownTask(Protocol):
    """What a balancer may read from a task when it is made by name; see `Balancer.filled_in`."""

    name: str
    main: bool
    priority: str

    def weight_at(self, epoch: int) -> float:
        """Return how much the task counts in an epoch, counted from 1."""

    @property
    def uncertainty_kind(self) -> Literal["regression", "classification", "laplace", "likelihood"]:
        """The noise model that fits the task's loss."""


class ReadsEpochs(Protocol):
    """A balancer that reads the mean loss of each task after every epoch."""

    def end_epoch(self, means: Mapping[str, float]) -> None:
        """Read the mean losses of an epoch, over all its rows and processes."""


class ReadsScores(Protocol):
    """A balancer that reads the score of each task after every evaluation."""

    def observe_scores(self, scores: Mapping[str, float]) -> None:
        """Read normalised scores: 0 ignores the input, 1 is perfect."""


class ReadsAfterStep(Protocol):
    """A balancer that reads the losses of the same batch once more, after the step."""

    exact: bool
    """Whether it does, which takes one more forward pass."""

    def after_step(self, losses: Mapping[str, Tensor]) -> None:
        """Read the losses after the step, computed with the same dropout as before it."""


class ReadsNorms(Protocol):
    """A loss balancer that learns from the norms of the tasks' gradients."""

    layer: Literal["last", "all"]
    """On which shared parameters they are computed: those of the last layer, or all."""

    def observe_norms(self, norms: Tensor, losses: Tensor, present: Tensor) -> None:
        """Read the norms (T',) of the gradients of the unweighted losses (T',), once combined."""


class PenalizesNorms(Protocol):
    """A loss balancer that also minimises a function of the norms of the tasks' gradients."""

    layer: Literal["last", "all"]
    """On which shared parameters they are computed: those of the last layer, or all."""

    def penalty(self, norms: Tensor, present: Tensor) -> Tensor:
        """Return what is added to the total, given the norms (T',) times a common factor."""


class LooksAhead(Protocol):
    """A balancer that learns from validation batches, one before each step."""

    def look_ahead(
        self,
        module: nn.Module,
        optimizer: Optimizer,
        train: Callable[[], Mapping[str, Tensor]],
        validation: Callable[[], Mapping[str, Tensor]],
        *,
        process_group: distributed.ProcessGroup | None = None,
    ) -> None:
        """Learn from functions that compute the losses of the step's and a validation batch.

        With a group, as `motet.backward` takes it, processes have rows of their own.
        """
