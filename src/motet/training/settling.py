"""Chooses what options of a `Trainer` leave to the data, once `Trainer.fit` has them."""

from collections.abc import Callable, Mapping
from typing import TypedDict

from motet.data.batches import Data
from motet.data.loaders import LoaderData
from motet.settings import Setting, budget
from motet.training.options import OPTIONS, TrainingOptions

_BATCH_SIZE: int = next(each.default for each in OPTIONS if each.name == "batch_size")


class Numbers(TypedDict):
    """Options that may be left to the data, as numbers."""

    batch_size: int
    patience: int | None
    monitor_smoothing: float


def before_data(options: TrainingOptions) -> Numbers:
    """Return the numbers that hold until data are known."""
    size, patience = options["batch_size"], options["patience"]
    smoothing = options["monitor_smoothing"]
    return {
        "batch_size": _BATCH_SIZE if size == "auto" else size,
        "patience": None if isinstance(patience, Mapping) else patience,
        "monitor_smoothing": 0.0 if smoothing == "auto" else smoothing,
    }


def settle(
    options: TrainingOptions,
    epochs: int | str,
    size: int,
    train: Data,
    valid: Data | None,
    steps_of: Callable[[int], int],
) -> dict[str, Setting]:
    """Choose numbers for options that are ``auto``, and for a patience in other units.

    Args:
        options: All options, none left out.
        epochs: As for `motet.Trainer.fit`.
        size: Rows per batch, unless they are to be chosen.
        train: The training data. Batches of a loader are as it makes them.
        valid: The validation data, if there are any.
        steps_of: Returns the steps of an epoch for a number of rows per batch.

    Returns:
        What was chosen, by option; the same for the same data, so that a resumed trainer has it
        again. Always has "epochs" if they are ``auto``.
    """
    chosen: dict[str, Setting] = {}
    of_loader = isinstance(train, LoaderData)
    if options["batch_size"] == "auto":
        own = Setting(_BATCH_SIZE, "for evaluation; the loader makes the batches of training")
        chosen["batch_size"] = own if of_loader else budget.batch_size(train.steps(1))
        size = chosen["batch_size"].value
    patience, every = options["patience"], options["evaluate_every"]
    steps = 0
    if isinstance(epochs, str) or isinstance(patience, Mapping):
        steps = steps_of(size)
    if isinstance(epochs, str):
        chosen["epochs"] = budget.epochs(steps)
    count = chosen["epochs"].value if isinstance(epochs, str) else epochs
    if isinstance(patience, Mapping):
        chosen["patience"] = budget.patience(patience, count, steps, every)
    if options["monitor_smoothing"] == "auto":
        rows = 0 if valid is None else sum(len(batch) for _, batch in valid.once(size))
        chosen["monitor_smoothing"] = budget.smoothing(rows)
    return chosen
