"""Data as training accepts them: in any form, checked once, on the device."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch.utils.data import DataLoader

from motet.data.arrays import ArrayData
from motet.data.batches import Data
from motet.data.finite import refuse_not_finite
from motet.data.loaders import LoaderData, as_data
from motet.model import MultiTaskModel
from motet.problems import InputError, hint
from motet.tasks import Task
from motet.tasks.scores import Trivial, fit_trivial
from motet.tasks.statistics import LabelStatistics
from motet.training.units import warn_of_units


def take_data(
    data: Any, what: str, model: MultiTaskModel, device: torch.device, *, whole: bool = False
) -> Data:
    """Check data that a user gave, and move them to the device.

    Args:
        data: Data in any form; those that this returned before are not checked again.
        what: What the data are, to begin messages with.
        model: The model.
        device: Where to put it.
        whole: Whether every enabled task must be named in the targets.

    Returns:
        The same rows or batches.

    Raises:
        InputError: If it is something else, its inputs are not finite, or its targets do not fit
            the tasks.
    """
    found = as_data(data, what)
    if not found.checked:
        _check_finite(found, what, model)
        _check_targets(found, what, model, whole=whole)
    moved = found.to(device)
    moved.checked = True
    return moved


def _check_targets(
    data: ArrayData | LoaderData, what: str, model: MultiTaskModel, *, whole: bool
) -> None:
    for name in sorted(data.named):
        if name not in model.tasks.names:
            raise InputError(
                f"{what} have targets for {name!r}, which is no task; "
                f"{hint(name, model.tasks.names)}"
            )
    for name, target in data.targets.items():
        model.tasks[name].check(target)
    left = [name for name in model.labelled_tasks if name not in data.named]
    if whole and left:
        raise InputError(
            f"{what} have no targets for {', '.join(map(repr, left))}, found "
            f"{', '.join(map(repr, sorted(data.named))) or 'none'}; give them, or None in their "
            f"place ({{{left[0]!r}: None}}) if there are none, or leave the task out with "
            f"model.disable_task({left[0]!r})"
        )


def take_inputs(inputs: Any, model: MultiTaskModel, device: torch.device) -> Data:
    """Check inputs without targets, or batches, and move them to the device.

    Returns:
        The same rows or batches.

    Raises:
        InputError: If they are something else, or not finite.
    """
    if isinstance(inputs, (ArrayData, LoaderData)):
        found = inputs
    else:
        found = LoaderData(inputs) if isinstance(inputs, DataLoader) else ArrayData(inputs, {})
    _check_finite(found, "the data", model)
    return found.to(device)


def _check_finite(data: ArrayData | LoaderData, what: str, model: MultiTaskModel) -> None:
    """Check once that all inputs are finite: now, or in the first pass through batches."""
    nan = not any(getattr(module, "takes_nan", False) for module in model.modules())
    if isinstance(data, LoaderData):
        data.look = lambda inputs, batch: refuse_not_finite(inputs, f"{what}, {batch}", nan=nan)
    else:
        refuse_not_finite(data.inputs, what, nan=nan)


def prepare_tasks(model: MultiTaskModel, train: Data) -> None:
    """Let tasks that do not know the training labels yet learn from them."""
    learning = [task for task in model.tasks if not task.prepared]
    if learning:
        for name, labels in statistics_of(learning, train).items():
            model.tasks[name].learn(labels)


def learn_from_labels(
    model: MultiTaskModel, train: Data, metrics: Mapping[str, Any] | None
) -> Trivial:
    """Learn from the statistics of the training labels: class weights, constant predictions.

    Returns:
        The constant predictions.

    Raises:
        InputError: If there is nothing to train, or a task has no label.
    """
    statistics = statistics_of(model.tasks, train)
    active = [name for name in model.active_tasks if name in statistics]
    if not active:
        raise InputError(
            "no task is both enabled and has targets, so there is nothing to train; give "
            "targets, or enable a task"
        )
    for name in active:
        if not statistics[name].labelled:
            raise InputError(
                f"the training data have no label for {name!r}; give some, or leave the task "
                f"out with model.disable_task({name!r})"
            )
    for name, labels in statistics.items():
        model.tasks[name].learn(labels)
        warn_of_units(model.tasks[name], labels)
    return fit_trivial(model.tasks, statistics, metrics)


def statistics_of(tasks: Iterable[Task], data: Data) -> dict[str, LabelStatistics]:
    """Return the statistics of the labels of tasks that have some in ``data``."""
    return data.label_statistics({task.name: task.statistics for task in tasks})
