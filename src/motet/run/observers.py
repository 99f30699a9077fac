"""What a run does around the training loop: files, lines of progress, and stopping at Ctrl-C."""

import math
import signal
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any, final

from motet.run.checkpoints import Checkpoints
from motet.run.folder import JsonLines
from motet.run.layout import line, wrapped
from motet.run.lines import epoch_lines
from motet.run.scheduling_lines import scheduled_line
from motet.training import EpochRecord, EvaluationRecord, Observer, StepRecord
from motet.training.observers import Checkpoint, Observed

Say = Callable[[str], object]
SECONDS_BETWEEN = 5.0
"""Seconds of training that a killed process loses at most, beyond one epoch."""
_EPOCH_LINES, _FIRST_LINES = 20, 3
"""About how many epochs are shown, and how many of the first ones in any case."""


@final
class RunFiles(Observer):
    """Writes ``metrics.jsonl`` and checkpoints.

    Where the config does not say how often to write checkpoints, one that comes within
    `SECONDS_BETWEEN` of the last one of its kind is left out, as waiting for the disk would take
    longer than a short epoch; the first one, and that at the end, are always written.

    Args:
        metrics: The file of records.
        checkpoints: The checkpoints of the run.
        every: Whether to write every checkpoint, as the config gives an interval.
        clock: Returns seconds.
    """

    def __init__(
        self,
        metrics: JsonLines,
        checkpoints: Checkpoints,
        *,
        every: bool = False,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._metrics, self._checkpoints = metrics, checkpoints
        self._every, self._clock = every, clock
        self._saved: dict[Checkpoint, float] = {}

    def on_step(self, trainer: Observed, record: StepRecord) -> None:
        self._metrics.write(record.as_dict())

    def on_epoch(self, trainer: Observed, record: EpochRecord) -> None:
        self._metrics.write(record.as_dict())

    def on_evaluation(self, trainer: Observed, record: EvaluationRecord) -> None:
        self._metrics.write(record.as_dict())

    def on_checkpoint(self, trainer: Observed, kind: Checkpoint) -> None:
        since = self._clock() - self._saved.get(kind, -math.inf)
        if self._every or trainer.ends or since >= SECONDS_BETWEEN:
            self._checkpoints.save(kind, trainer)
            self._saved[kind] = self._clock()


@final
class ProgressLines(Observer):
    """Reports evaluations, a line each; of many epochs, some.

    The first epochs are shown, then some of the others, and at the end the best and the last one.

    Args:
        say: Called with each line.
        epochs: Epochs in all.
    """

    def __init__(self, say: Say, epochs: int) -> None:
        self._say, self._epochs = say, epochs
        self._every = math.ceil(epochs / _EPOCH_LINES)
        self._shown = 0
        self._best: EvaluationRecord | None = None
        """The best evaluation, while it is not shown."""
        self._last: EvaluationRecord | None = None
        """The last evaluation, while it is not shown."""

    def on_begin(self, trainer: Observed) -> None:
        if self._every > 1:
            self._say(line("epochs", f"{self._epochs}, some of them shown; metrics.jsonl has all"))

    def on_epoch(self, trainer: Observed, record: EpochRecord) -> None:
        if record.groups is not None and record.new_groups is not None:
            start = f"epoch {record.epoch}, by {record.groups['by']}: "
            first, *others = record.new_groups
            for each in wrapped("groups", [start + first, *others], " | "):
                self._say(each)
        if record.scheduled and self._is_due(record.epoch):
            self._say(scheduled_line(record))

    def on_evaluation(self, trainer: Observed, record: EvaluationRecord) -> None:
        self._last = record
        if record.best:
            self._best = record
        if self._is_due(record.epoch):
            self._show(record)

    def on_end(self, trainer: Observed) -> None:
        if self._best is not None:
            self._show(self._best)
        if self._last is not None:
            self._show(self._last)

    def _is_due(self, epoch: int) -> bool:
        since = epoch // self._every - self._shown // self._every
        return self._every == 1 or epoch <= _FIRST_LINES or since > 0

    def _show(self, record: EvaluationRecord) -> None:
        self._shown = record.epoch
        self._best = None if record is self._best else self._best
        self._last = None if record is self._last else self._last
        for each in epoch_lines(record, self._epochs):
            self._say(each)


@final
class StopAtInterrupt(Observer):
    """Lets the first Ctrl-C stop training after the step in progress, and a second one at once."""

    everywhere = True

    def __init__(self) -> None:
        self._before: Any = None
        self._installed = False

    def on_begin(self, trainer: Observed) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # signals reach the main thread only

        def stop(*_: object) -> None:
            trainer.stop_requested = True
            signal.signal(signal.SIGINT, self._before)

        self._before = signal.signal(signal.SIGINT, stop)
        self._installed = True

    def on_end(self, trainer: Observed) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, self._before)
            self._installed = False
