"""Data at the door of training: taken in any form, checked, and looked at once as a whole."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from motet.data.batches import ArrayData, Data
from motet.data.loaders import LoaderData, as_data
from motet.model import MultiTaskModel
from motet.problems import InputError, hint
from motet.tasks.scores import Trivial, fit_trivial
from motet.training.making import warn_of_units


def take_data(data: Any, what: str, model: MultiTaskModel, device: torch.device) -> Data:
    """Take what a user may give for data, on the device, its labels checked.

    Returns:
        The same rows or batches.

    Raises:
        InputError: If it is something else, or its targets do not fit the tasks.
    """
    if isinstance(data, (ArrayData, LoaderData)):
        return data.to(device)
    found = as_data(data, what)
    for name, target in found.targets.items():
        if name not in model.tasks.names:
            raise InputError(
                f"{what} has targets for {name!r}, which is no task; "
                f"{hint(name, model.tasks.names)}"
            )
        model.tasks[name].check(target)
    return found.to(device)


def take_inputs(inputs: Any, device: torch.device) -> Data:
    """Take inputs without targets, or batches, on the device."""
    if isinstance(inputs, (ArrayData, LoaderData)):
        return inputs.to(device)
    if isinstance(inputs, DataLoader):
        return LoaderData(inputs, device)
    return ArrayData(inputs, {}).to(device)


def take_batch(batch: Mapping[str, Any], device: torch.device) -> Mapping[str, Any]:
    """Turn a batch of arrays into one of tensors; one of tensors is taken as it is."""
    targets = batch["targets"].values()
    if all(target is None or isinstance(target, Tensor) for target in targets):
        return batch
    data = ArrayData(batch["inputs"], batch["targets"]).to(device)
    return {"inputs": data.inputs, "targets": data.targets}


def learn_from_labels(
    model: MultiTaskModel, train: Data, metrics: Mapping[str, Any] | None
) -> Trivial:
    """Learn from all training labels at once: class weights, constant predictions.

    Returns:
        The constant predictions.

    Raises:
        InputError: If there is nothing to train, or a task has no label.
    """
    active = [name for name in model.active_tasks if name in train.targets]
    if not active:
        raise InputError(
            "no task is both enabled and has targets, so there is nothing to train; give "
            "targets, or enable a task"
        )
    for name in active:
        if not model.tasks[name].labelled(train.targets[name]).any():
            raise InputError(
                f"the training data have no label for {name!r}; give some, or leave the task "
                f"out with model.disable_task({name!r})"
            )
    for task in model.tasks:
        if task.name in train.targets:
            task.prepare(train.targets[task.name])
            warn_of_units(task, train.targets[task.name])
    return fit_trivial(model.tasks, train.targets, metrics)
