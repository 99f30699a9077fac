"""How long runs take, estimated by training each kind of model for a moment."""

import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch

from motet.config import read
from motet.config.only_tasks import only_tasks
from motet.run import build_trainer
from motet.run.frozen_states import with_frozen_states
from motet.run.prepared import AnyPrepared, with_config
from motet.run.split_data import rows_of
from motet.training import Interrupted, Observer, Trainer
from motet.training.observers import Observed

SECONDS = 1.0
"""How long each kind of model trains."""
WARM, LEAST = 2, 3
"""Steps before that, as the first imports and reserves what all use, and the fewest within it."""


@dataclass(frozen=True)
class Cost:
    """Seconds of a run."""

    fixed: float
    """Reading the data, and the test."""
    epoch: float
    """An epoch with its evaluation."""

    def seconds(self, epochs: int) -> float:
        """Return the seconds of a run of so many epochs, if it does not stop early."""
        return self.fixed + epochs * self.epoch


def cost_of(
    prepared: AnyPrepared,
    overrides: Sequence[str],
    part: tuple[str, ...] | None,
    preparation: float,
    threads: int,
) -> Cost:
    """Build a model as a run would, and train it for `SECONDS`.

    Args:
        prepared: The data with the config, every default spelled out.
        overrides: What the run changes in the config.
        part: The only tasks of the model; None for all.
        preparation: Seconds that reading the data takes.
        threads: Threads to compute with.

    Returns:
        Its cost.

    Raises:
        ConfigError: If an option does not fit.
    """
    changed = list(overrides)
    if part is not None:
        changed = only_tasks(prepared.config, part, changed)
    varied = with_config(prepared, read(prepared.config, changed)[0])
    with warnings.catch_warnings(), _threads(threads):
        warnings.simplefilter("ignore")  # runs repeat them
        trainer = build_trainer(varied)
        inputs = {
            source: with_frozen_states(each, trainer, _silent, _silent)
            for source, each in varied.used.items()
        }
        return _timed(varied, trainer, inputs, preparation)


def _timed(
    prepared: AnyPrepared, trainer: Trainer, inputs: Mapping[str, Any], preparation: float
) -> Cost:
    valid = rows_of(prepared, inputs, "validation")
    watch = _Watch()
    trainer.observers.append(watch)
    training = prepared.config.training
    with suppress(Interrupted):
        trainer.fit(rows_of(prepared, inputs, "train"), valid, epochs=training.epoch_count)
    trained, made = watch.stop(trainer)
    started = perf_counter()
    trainer.evaluate(valid)
    evaluation = perf_counter() - started
    evaluations = sum(record["split"] == "validation" for record in trainer.history.records)
    step = max(trained - evaluations * evaluation, 0.0) / max(made, 1)
    every, steps = training.evaluate_every, prepared.steps(training.batch_size)
    in_epoch = 1.0
    if isinstance(every, int):
        in_epoch = steps / every
    elif every != "epoch":
        in_epoch = 1 / dict(every)["epochs"]
    return Cost(preparation + evaluation, steps * step + in_epoch * evaluation)


class _Watch(Observer):
    """Lets `fit` stop after a while, and times its steps without the first."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._began, self._first = perf_counter(), 0

    def on_begin(self, trainer: Observed) -> None:
        self._began = perf_counter()
        threading.Thread(target=self._watch, args=[trainer], daemon=True).start()

    def _watch(self, trainer: Observed) -> None:
        while trainer.step < WARM:
            if self._ended.wait(0.001):
                return
        self._began, self._first = perf_counter(), trainer.step
        while not self._ended.wait(0.001):
            if perf_counter() - self._began > SECONDS and trainer.step >= self._first + LEAST:
                trainer.stop_requested = True
                return

    def stop(self, trainer: Observed) -> tuple[float, int]:
        """Return the seconds and the number of steps since the first."""
        self._ended.set()
        return perf_counter() - self._began, trainer.step - self._first


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _silent(line: str) -> None:
    """Ignore a line of progress."""
