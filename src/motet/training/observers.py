"""What happens around the training loop: records, checkpoints, progress, loggers, signals.

The loop calls its observers at a few named events. None of them changes the result of training,
except by asking it to stop.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Literal, Protocol, final

from torch import Tensor

from motet.training.records import EpochRecord, EvaluationRecord, StepRecord

Checkpoint = Literal["last", "best"]
"""Why the state should be saved: after an epoch or so many steps, or as it is the best so far."""


class Observed(Protocol):
    """What an observer may use of the trainer that it observes."""

    stop_requested: bool
    """Set it, and training stops after the step in progress."""
    on_record: Callable[[dict[str, Any]], object] | None
    on_checkpoint: Callable[[Checkpoint], object] | None

    @property
    def step(self) -> int:
        """Optimizer steps made."""

    @property
    def ends(self) -> bool:
        """Whether training ends here: all epochs are done, or something stops it."""

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return all that is needed to resume: tensors, and numbers that JSON can hold."""


class Observer:
    """Observes training; override the events that matter, the others do nothing."""

    everywhere: bool = False
    """Whether it is called on every process that trains, and not on the first alone."""

    def on_begin(self, trainer: Observed) -> None:
        """`Trainer.fit` has checked everything and is about to train."""

    def on_step(self, trainer: Observed, record: StepRecord) -> None:
        """A step was made; once in 50 steps, as a record waits for the device."""

    def on_epoch(self, trainer: Observed, record: EpochRecord) -> None:
        """An epoch ended; the evaluation after it is still to come."""

    def on_evaluation(self, trainer: Observed, record: EvaluationRecord) -> None:
        """The model was evaluated on the validation data."""

    def on_checkpoint(self, trainer: Observed, kind: Checkpoint) -> None:
        """The state should be saved; ``trainer.state()`` returns it."""

    def on_end(self, trainer: Observed) -> None:
        """`Trainer.fit` ends: finished, stopped, or with an error."""


@final
class Callbacks(Observer):
    """Calls the functions ``on_record`` and ``on_checkpoint`` of the trainer."""

    def on_step(self, trainer: Observed, record: StepRecord) -> None:
        _call(trainer, record)

    def on_epoch(self, trainer: Observed, record: EpochRecord) -> None:
        _call(trainer, record)

    def on_evaluation(self, trainer: Observed, record: EvaluationRecord) -> None:
        _call(trainer, record)

    def on_checkpoint(self, trainer: Observed, kind: Checkpoint) -> None:
        if trainer.on_checkpoint is not None:
            trainer.on_checkpoint(kind)


def _call(trainer: Observed, record: StepRecord | EpochRecord | EvaluationRecord) -> None:
    if trainer.on_record is not None:
        trainer.on_record(record.as_dict())


@contextmanager
def observing(trainer: Observed, observers: Sequence[Observer]) -> Iterator[None]:
    """Notify observers when training begins and when it ends, however it ends."""
    with ExitStack() as stack:
        for each in observers:
            each.on_begin(trainer)
            stack.callback(each.on_end, trainer)
        yield
