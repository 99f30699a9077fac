"""What a balancer may ask of the training loop beyond losses or gradients, a protocol each.

A balancer has a protocol when it has its methods; the loop makes the calls. `motet.backward` and
`motet.Trainer` make all of theirs. A balancer that is lost without a call says so by
`Balancer.expect`.
"""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn
from torch.optim import Optimizer


@runtime_checkable
class KnownTask(Protocol):
    """What a balancer may read of a task when it is made by name; see `Balancer.filled_in`."""

    name: str
    main: bool

    def weight_at(self, epoch: int) -> float:
        """Return how much the task counts in an epoch, counted from 1."""

    @property
    def uncertainty_kind(self) -> Literal["regression", "classification", "laplace"]:
        """The noise model that fits the task's loss."""


@runtime_checkable
class ReadsEpochs(Protocol):
    """A balancer that wants the mean loss of each task after every epoch."""

    def end_epoch(self, means: Mapping[str, float]) -> None:
        """Take note of the mean losses of an epoch, over all its rows and processes."""


@runtime_checkable
class ReadsScores(Protocol):
    """A balancer that wants to know how well each task does, whenever the loop finds out."""

    def observe_scores(self, scores: Mapping[str, float]) -> None:
        """Take note of normalised scores: 0 ignores the input, 1 is perfect."""


@runtime_checkable
class ReadsAfterStep(Protocol):
    """A balancer that wants the losses of the same batch once more, after the step."""

    exact: bool
    """Whether it does; the loop needs an extra forward pass for it."""

    def after_step(self, losses: Mapping[str, Tensor]) -> None:
        """Take note of the losses after the step, computed with the same dropout as before it."""


@runtime_checkable
class ReadsNorms(Protocol):
    """A loss balancer that learns from the norms of the tasks' gradients."""

    layer: Literal["last", "all"]
    """On which shared parameters they are taken: those of the last layer, or all."""

    def observe_norms(self, norms: Tensor, losses: Tensor, present: Tensor) -> None:
        """Take note of norms (T',) of the unweighted losses (T',), after they were combined."""


@runtime_checkable
class PenalizesNorms(Protocol):
    """A loss balancer that minimises a function of the norms of the tasks' gradients too."""

    layer: Literal["last", "all"]
    """On which shared parameters they are taken: those of the last layer, or all."""

    def penalty(self, norms: Tensor, present: Tensor) -> Tensor:
        """Return what to add to the total, given the norms (T',) times a common factor."""


@runtime_checkable
class LooksAhead(Protocol):
    """A balancer that learns from validation batches, one before each step."""

    def look_ahead(
        self,
        module: nn.Module,
        optimizer: Optimizer,
        train: Callable[[], Mapping[str, Tensor]],
        validation: Callable[[], Mapping[str, Tensor]],
    ) -> None:
        """Learn from functions that compute the losses of the step's and a validation batch."""


class EveryStep(NamedTuple):
    """Which protocols that matter at every step a balancer has; see `Balancer.every_step`."""

    reads_norms: bool
    penalizes_norms: bool
    reads_after_step: bool
