"""Data as training accepts them: in any form, checked once, on the device."""

import warnings
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import torch
from torch.utils.data import DataLoader

from motet.data.arrays import ArrayData
from motet.data.batches import Batch, Check, Data, Draw, Learn
from motet.data.finite import refuse_not_finite
from motet.data.loaders import LoaderData, as_data
from motet.data.several import SourceDraw, Sources
from motet.data.stream import StreamData
from motet.model import MultiTaskModel
from motet.problems import InputError, RowError, hint, owned
from motet.tasks import Task
from motet.tasks.row_weights import check_weights
from motet.tasks.scores import Trivial, fit_trivial
from motet.tasks.statistics import LabelStatistics
from motet.training.grouping import keep_together
from motet.training.modalities import Modalities
from motet.training.source_checks import check_one_table, check_sources, refuse_batch_norm


def take_data(
    data: Any,
    what: str,
    model: MultiTaskModel,
    device: torch.device,
    *,
    whole: bool = False,
    trained: bool = False,
) -> Data:
    """Check data that a user gave, and move them to the device.

    Args:
        data: Data in any form; those that this returned before are not checked again.
        what: What the data are, to begin messages with.
        model: The model.
        device: Where to put it.
        whole: Whether every enabled task must be named in the targets, as it must for training.
        trained: Whether the model is trained on it, so that some row must have each modality.

    Returns:
        The same rows or batches.

    Raises:
        InputError: If it is something else, its inputs are not finite, all rows lack a modality, or
            its targets do not fit the tasks.
    """
    modalities = Modalities(model) if trained else None
    if isinstance(data, Sources):
        return _take_sources(data, what, model, device, modalities, whole=whole)
    moved = _moved(data, what, model, device, modalities, learn=whole)
    if modalities is not None:
        modalities.check(what)
    if whole:
        check_one_table(model)
        _check_complete(moved.named, what, model)
    return moved


def _moved(
    data: Any,
    what: str,
    model: MultiTaskModel,
    device: torch.device,
    modalities: Modalities | None,
    *,
    learn: bool,
) -> ArrayData | LoaderData | StreamData:
    """Check data of one source, unless they are checked, and move them to the device."""
    given = as_data(data, what)
    moved = given.to(device)
    if not given.checked:
        check = _check_of_rows(what, model, modalities)
        _inspect(moved, check, _learning(model.tasks) if learn else {})
        _check_names(moved.named, what, model)
        keep_together(moved, model.tasks)
    moved.checked = True
    return moved


def _take_sources(
    data: Sources,
    what: str,
    model: MultiTaskModel,
    device: torch.device,
    modalities: Modalities | None,
    *,
    whole: bool,
) -> Sources:
    parts: dict[str, ArrayData | LoaderData | StreamData] = {}
    for name, each in data.parts.items():
        with owned(f"source {name!r}"):
            parts[name] = _moved(each, what, model, device, modalities, learn=whole)
    if modalities is not None:
        modalities.check(what)
    if whole:
        _check_complete(data.named, what, model)
        named = {name: each.named for name, each in parts.items()}
        sizes = check_sources(named, model, data.lacking)
        return data.with_parts(parts, sizes | data.batch_sizes)
    return data.with_parts(parts)


def take_inputs(inputs: Any, model: MultiTaskModel, device: torch.device) -> Data:
    """Check inputs without targets, or batches, and move them to the device.

    Returns:
        The same rows or batches.

    Raises:
        InputError: If they are something else, or not finite.
    """
    if isinstance(inputs, Sources):
        raise InputError(
            f"the data: found the sources {', '.join(inputs.names)}; predict the rows of each alone"
        )
    if isinstance(inputs, tuple) and any(isinstance(each, Mapping) for each in inputs[1:]):
        raise InputError(
            "the data: found inputs and targets; expected the inputs alone: predict(inputs)"
        )
    found: ArrayData | LoaderData | StreamData
    if isinstance(inputs, (ArrayData, LoaderData, StreamData)):
        found = inputs
    else:
        found = LoaderData(inputs) if isinstance(inputs, DataLoader) else ArrayData(inputs, {})
    moved = found.to(device)
    _inspect(moved, _check_of_inputs("the data", model), {})
    return moved


def _inspect(data: ArrayData | LoaderData | StreamData, check: Check, learn: Learn) -> None:
    """Check all rows now, or batches in the first pass, which also learns from their labels."""
    if isinstance(data, LoaderData | StreamData):
        data.inspect(check, learn)
    else:
        check(_whole(data), "")


def _whole(data: ArrayData) -> Batch:
    return Batch(data.inputs, data.targets, weights=data.weights, soft=data.soft)


def take_batch(batch: Any, model: MultiTaskModel, device: torch.device) -> Batch | Draw:
    """Return the rows of a step: those of a user, checked, or of data that were checked.

    Weights and soft targets cost a device sync for each task with some.

    Raises:
        InputError: If it is not a batch, or weights and soft targets are of no task, or do not fit
            the rows or the task.
        RowError: If a weight is negative or not finite.
    """
    if isinstance(batch, (Batch, SourceDraw)):
        return batch  # of data that were checked
    if isinstance(batch, Sources):
        refuse_batch_norm(model)
        moved = batch.to(device)
        for name, rows in moved.parts.items():
            if isinstance(rows, ArrayData):  # others are refused when they are drawn
                with owned(f"source {name!r}"):
                    _check_batch(_whole(rows), model)
        return moved.whole()
    given = Batch.of(batch, device=device)
    if given.weights or given.soft:
        _check_batch(given, model)
    return given


def _check_batch(batch: Batch, model: MultiTaskModel) -> None:
    _check_names(batch.weights, "the rows of the batch", model, given="weights")
    _check_names(batch.soft, "the rows of the batch", model, given="soft")
    for task, target in batch.targets.items():
        if target is not None:
            _check_weights(batch, task, model)
            if (soft := batch.soft.get(task)) is not None:
                model.tasks[task].check_soft(soft, target)


def _check_weights(batch: Batch, task: str, model: MultiTaskModel) -> None:
    target, weights = batch.targets[task], batch.weights.get(task)
    if target is not None and weights is not None:
        check_weights(model.tasks[task], target, weights)


def _check_of_inputs(what: str, model: MultiTaskModel) -> Check:
    nan = not any(getattr(module, "takes_nan", False) for module in model.modules())

    def check(batch: Batch, name: str) -> None:
        refuse_not_finite(batch.inputs, f"{what}, {name}" if name else what, nan=nan)

    return check


def _check_of_rows(what: str, model: MultiTaskModel, modalities: Modalities | None) -> Check:
    check_inputs = _check_of_inputs(what, model)

    def check(batch: Batch, name: str) -> None:
        check_inputs(batch, name)
        if modalities is not None:
            modalities.add(batch.inputs)
        _check_names(batch.targets, what, model)
        _check_names(batch.weights, what, model, given="weights")
        _check_names(batch.soft, what, model, given="soft")
        for task, target in batch.targets.items():
            assert target is not None  # `Batch.tensors` leaves those out
            try:
                model.tasks[task].check(target)
                _check_weights(batch, task, model)
                if (soft := batch.soft.get(task)) is not None:
                    model.tasks[task].check_soft(soft, target)
            except RowError as error:
                raise (error.within(name) if name else error) from None

    return check


def _check_names(
    named: Collection[str], what: str, model: MultiTaskModel, given: str = "targets"
) -> None:
    """Check that targets, or weights, are named for tasks."""
    for name in sorted(named):
        if name not in model.tasks.names:
            raise InputError(
                f"{what} have {given} for {name!r}, which is not a task; "
                f"{hint(name, model.tasks.names)}"
            )


def _check_complete(named: Collection[str], what: str, model: MultiTaskModel) -> None:
    """Check that targets are named for every enabled task."""
    needed = (name for name in model.labelled_tasks if not model.tasks[name].latent)
    left = [name for name in needed if name not in named]
    if left:
        raise InputError(
            f"{what} have no targets for {', '.join(map(repr, left))}, found "
            f"{', '.join(map(repr, sorted(named))) or 'none'}; give them, or None in their "
            f"place ({{{left[0]!r}: None}}) if there are none, or leave the task out with "
            f"model.disable_task({left[0]!r})"
        )


def prepare_tasks(model: MultiTaskModel, train: Data) -> None:
    """Let tasks that do not know the training labels yet learn from them."""
    learning = [task for task in model.tasks if not task.prepared]
    if learning:
        for name, labels in statistics_of(learning, train).items():
            model.tasks[name].learn_labels(labels)


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
        model.tasks[name].learn_labels(labels)
        _warn_of_units(model.tasks[name], labels)
    return fit_trivial(model.tasks, statistics, metrics)


def statistics_of(tasks: Iterable[Task], data: Data) -> dict[str, LabelStatistics]:
    """Return the statistics of the labels of tasks that have some in ``data``."""
    return data.label_statistics(_learning(tasks))


def _learning(tasks: Iterable[Task]) -> dict[str, Callable[..., LabelStatistics]]:
    return {task.name: task.statistics for task in tasks}


def _warn_of_units(task: Task, labels: LabelStatistics) -> None:
    """Warn about numbers in a unit that makes their loss drown the other tasks'."""
    if task.scaling is not None or "scaling" not in type(task).accepted():
        return
    note = task.label_kind.unit_note(labels)
    if note:
        warnings.warn(
            f"the targets of {task.name!r} have {note}, so its loss may drown the other tasks' or "
            f"take long to learn; train on (y - mean) / std with {type(task).__name__}("
            f"{task.name!r}, scaling=(mean, std)), which predicts in the original unit",
            stacklevel=4,
        )
