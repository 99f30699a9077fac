"""What training shows while it runs: a bar over its epochs, the losses, and the scores of tasks."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import final

from motet.figures import figure
from motet.live import Live, Progress, Table
from motet.training.observers import Observed, Observer
from motet.training.records import EpochRecord, EvaluationRecord, StepRecord

IN_A_LINE = 6
"""Tasks that a line shows; a table shows more."""
_TITLES = ("task", "metric", "now", "best")


@final
class LiveProgress(Observer):
    """Gives a display what is in progress, see `motet.live`; from seven tasks on, a table.

    Args:
        step: Called with each line.
        epochs: Epochs in all.
    """

    def __init__(self, step: Callable[[str], object], epochs: int) -> None:
        self._step, self._epochs = step, epochs
        self._steps_of_epoch: float | None = None
        self._best: EvaluationRecord | None = None

    def on_step(self, trainer: Observed, record: StepRecord) -> None:
        before = record.epoch - 1
        done = float(before)
        if self._steps_of_epoch:
            done += min(record.step / self._steps_of_epoch - before, 1.0)
        self._step(Progress(step_line(record, self._epochs), done, self._epochs))

    def on_epoch(self, trainer: Observed, record: EpochRecord) -> None:
        self._steps_of_epoch = record.step / record.epoch
        text = _losses_line([f"epoch {record.epoch}/{self._epochs}"], record)
        self._step(Progress(text, record.epoch, self._epochs))

    def on_evaluation(self, trainer: Observed, record: EvaluationRecord) -> None:
        if record.best or self._best is None:
            self._best = record
        if len(record.tasks) > IN_A_LINE:
            self._step(Table([_TITLES, *self._rows(record)]))

    def _rows(self, record: EvaluationRecord) -> Iterator[tuple[str, str, str, str]]:
        assert self._best is not None
        for task, values in record.tasks.items():
            metric, value = next(iter(values.items()))
            best = self._best.tasks.get(task, {}).get(metric)
            yield task, metric, figure(value), "" if best is None else figure(best)


@final
class Lines(Observer):
    """Prints a line for each evaluation, or each epoch of training without one.

    Args:
        say: Called with each line.
        epochs: Epochs in all.
    """

    def __init__(self, say: Callable[[str], object], epochs: int) -> None:
        self._say, self._epochs = say, epochs
        self._epoch: str | None = None
        """The line of an epoch that was not evaluated so far."""

    def on_epoch(self, trainer: Observed, record: EpochRecord) -> None:
        self.finish()
        if record.new_groups is not None:
            self._say(_line([f"epoch {record.epoch}/{self._epochs}", "groups"], record.new_groups))
        self._epoch = _losses_line([f"epoch {record.epoch}/{self._epochs}"], record)

    def on_evaluation(self, trainer: Observed, record: EvaluationRecord) -> None:
        self._epoch = None
        firsts = [(task, *next(iter(each.items()))) for task, each in record.tasks.items()]
        first = f"epoch {record.epoch}/{self._epochs}"
        score = f"score {figure(record.score)}{' *' if record.best else ''}"
        metrics = [f"{task} {metric} {figure(value)}" for task, metric, value in firsts]
        self._say(_line([first, score], metrics))

    def finish(self) -> None:
        """Print the line of an epoch that no evaluation followed."""
        if self._epoch is not None:
            self._say(self._epoch)
            self._epoch = None


def step_line(record: StepRecord, epochs: int) -> str:
    """Report the losses of a step, of the first tasks where there are many."""
    return _losses_line([f"epoch {record.epoch}/{epochs}", f"step {record.step}"], record)


@contextmanager
def displayed(verbose: bool, epochs: int) -> Iterator[list[Observer]]:
    """Show training on a terminal or in a notebook; elsewhere its lines alone.

    Args:
        verbose: Whether to show anything.
        epochs: Epochs in all.

    Yields:
        The observers that do so.
    """
    if not verbose:
        yield []
        return
    with Live() as live:
        lines = Lines(live.say, epochs)
        yield [lines, LiveProgress(live.step, epochs)]
        lines.finish()


def _losses_line(first: Sequence[str], record: StepRecord | EpochRecord) -> str:
    losses = [f"{task} loss {figure(v['loss'])}" for task, v in record.tasks.items()]
    return _line(first, losses)


def _line(first: Sequence[str], tasks: Sequence[str]) -> str:
    left = len(tasks) - IN_A_LINE
    more = [f"and {left} more"] if left > 0 else []
    return "  ".join([*first, *tasks[:IN_A_LINE], *more])
