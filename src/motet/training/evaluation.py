"""Evaluation and prediction over a whole data set, and scores against trivial predictors."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor

from motet.data.arrays import ArrayData
from motet.data.batches import Batch, RowsOnce
from motet.model import MultiTaskModel
from motet.model.checks import names_of
from motet.problems import InputError, hint
from motet.processes import ALONE, Processes
from motet.states import join_rows
from motet.tasks import Prediction, Task, TaskMetrics
from motet.tasks.listing import main_tasks
from motet.tasks.members import soft_of
from motet.tasks.row_weights import divided_by_own_weights
from motet.tasks.scores import Trivial, normalised_score
from motet.training.grouping import keep_together
from motet.training.source_parts import batches_of
from motet.training.totals import Totals
from motet.training.turns import in_turns
from motet.training.views import view_of
from motet.training.words import check_words, placed

R = TypeVar("R")


class Report(dict[str, Any]):
    """``{task: {metric: value, "loss": ..., "count": ...}, "score": ...}`` and what it rests on.

    ``score`` is the mean normalised score of the main tasks; NaN if none has one. Auxiliary tasks
    have a loss and a count alone.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.trivial: dict[str, dict[str, float]] = {}
        """Metrics of a predictor that ignores the inputs, on the same rows."""
        self.scores: dict[str, float] = {}
        """Normalised score of each task with labels: 0 is that predictor, 1 is perfect."""
        self.worst = math.nan
        """Lowest score of the main tasks."""
        self.fusion: dict[str, float] = {}
        """Mean weight of each modality over all rows, where the model's fusion weighs them."""
        self.notes: dict[str, str] = {}
        """By ``task.metric``, why a metric is NaN; by ``task.prediction``, what the prediction is
        where it is the same in every row."""

    @property
    def tasks(self) -> dict[str, Any]:
        """Metrics, loss and count of each task."""
        return {task: values for task, values in self.items() if task != "score"}


def evaluate(
    model: MultiTaskModel,
    data: RowsOnce,
    *,
    batch_size: int,
    metrics: Mapping[str, Any] | None = None,
    trivial: Trivial | None = None,
    tasks: str | Iterable[str] | None = None,
    processes: Processes = ALONE,
) -> Report:
    """Compute every metric of tasks that have targets in ``data``.

    Args:
        model: The model; its mode is restored.
        data: Inputs and targets, on the model's device.
        batch_size: Rows per forward pass.
        metrics: Metrics by task, in place of each task's own.
        trivial: Constant predictions to score against; without them scores are NaN.
        tasks: Which tasks, or the name of one; all enabled ones with targets if left out.
        processes: Processes that compute the batches in turns, all of which get the same report.

    Returns:
        Metrics, losses and scores.

    Raises:
        InputError: If a task is unknown or has no targets, or a label is not valid.
    """
    names = known_tasks(model, model.active_tasks if tasks is None else tasks)
    auxiliary = [model.tasks[name] for name in names if name in model.auxiliary_tasks]
    names = [name for name in names if name not in model.auxiliary_tasks]
    labelled = data.labelled
    left = [name for name in names if name not in labelled]
    if tasks is not None and left:
        raise InputError(
            f"the data have no targets for {', '.join(map(repr, left))}; give them, or leave the "
            "task out of tasks"
        )
    evaluated = [model.tasks[name] for name in names if name in labelled]
    keep_together(data, evaluated)
    asked = [task.name for task in evaluated]
    chosen = {name: metrics[name] for name in asked if metrics and name in metrics}
    found, totals, fusion = TaskMetrics(evaluated, chosen, trivial=trivial), Totals(), model.fusion

    def computed(number: int, given: tuple[Tensor | None, Batch]) -> tuple[Any, Any, Any]:
        rows, batch = given
        kept, targets, weights = {}, batch.targets, batch.weights
        if there := [name for name in asked if targets.get(name) is not None]:
            forced, raw = model.evaluated(batch.inputs, there, targets)
            own = {name: targets[name] for name in there}  # others may be of another model
            terms = model.loss_terms(forced, own, weights)
            kept = found.kept_of(raw, targets, terms, rows, weights)
        sums = None if fusion is None or not kept else fusion.weight_sums()
        return kept, _auxiliary_terms(model, auxiliary, batch, number), sums

    device = next(model.parameters()).device
    with evaluating(model), divided_by_own_weights(evaluated):
        weights: Tensor | None = None
        for kept, terms, sums in evaluated_in_turns(processes, data, batch_size, computed, device):
            found.add(kept)
            totals.add(terms)
            if sums is not None:
                weights = sums if weights is None else weights + sums
    report = _reported(found, evaluated)
    if fusion is not None and weights is not None:
        report.fusion = fusion.mean_weights(weights)
    for name, (total, count) in totals.sums().items():
        report[name] = {"loss": total / count if count else math.nan, "count": count}
    broken = [name for name in asked if report[name]["count"] and math.isnan(report[name]["loss"])]
    if broken:
        with evaluating(model):
            check_words(model, placed(data, batch_size), broken)
    return processes.of_first(report)  # machines may differ in a last bit


def evaluated_in_turns(
    processes: Processes,
    data: RowsOnce,
    size: int,
    computed: Callable[[int, tuple[Tensor | None, Batch]], R],
    device: torch.device,
) -> Iterator[R]:
    """Let processes compute something of the batches of all rows in turns; see `in_turns`.

    Args:
        processes: The processes.
        data: The rows.
        size: Rows per batch.
        computed: Called with the number of a batch, the numbers of its rows, and the batch.
        device: Where to put what other processes computed.

    Returns:
        What was computed, in the order of the batches.
    """
    if isinstance(data, ArrayData):
        data = data.decoded_by(processes)
    return in_turns(processes, data.once(size), computed, device)


def evaluate_predictions(
    tasks: Iterable[Task],
    parts: Iterable[tuple[Mapping[str, Prediction], Mapping[str, Tensor], Mapping[str, Tensor]]],
    losses: Mapping[str, tuple[Tensor, Tensor]],
    trivial: Trivial,
) -> Report:
    """Compute every metric of predictions that no single model made.

    Args:
        tasks: The tasks.
        parts: Of some rows after the other, by task: predictions in original units, labels, and how
            much each row counts where rows have weights.
        losses: (sum, count) of the loss over all rows, by task.
        trivial: Constant predictions to score against.

    Returns:
        Metrics, losses and scores.
    """
    evaluated = [task for task in tasks if task.name in losses]
    found = TaskMetrics(evaluated, trivial=trivial)
    for predictions, targets, weights in parts:
        found.update_predictions(predictions, targets, {}, weights)
    found.update_predictions({}, {}, losses)
    return _reported(found, evaluated)


def _reported(found: TaskMetrics, evaluated: list[Task]) -> Report:
    """Make the report of some tasks: metrics, scores, and the reasons for those that are NaN."""
    report = Report(found.compute())
    asked = [task.name for task in evaluated]
    report.notes = dict(found.notes)
    report.trivial = dict(found.trivial)
    report.scores = {name: _score(name, found, report) for name in asked}
    for name in asked:
        primary = found.primary(name)
        if primary.without_score:
            report.notes.setdefault(f"{name}.{primary.name}", primary.without_score)
    return summed_up(report, evaluated)


def _auxiliary_terms(
    model: MultiTaskModel, tasks: Iterable[Task], batch: Batch, number: int
) -> dict[str, tuple[Tensor, Tensor]]:
    """Compute sums and counts of the losses of auxiliary tasks, on the same views each time."""
    terms: dict[str, tuple[Tensor, Tensor]] = {}
    for task in tasks:
        if not batches_of(task, [batch]):
            continue
        device = next(model.parameters()).device
        view = view_of(task, batch, seed=0, step=number, device=device)
        terms |= model.loss_terms(model(view.inputs, [task.name], view.targets), view.targets)
    return terms


def summed_up(report: Report, tasks: Iterable[Task]) -> Report:
    """Fill in the mean and the lowest score of the main tasks among ``tasks``."""
    found = [report.scores[name] for name in main_tasks(tasks)]
    scores = [score for score in found if not math.isnan(score)]
    report["score"] = sum(scores) / len(scores) if scores else math.nan
    report.worst = min(scores, default=math.nan)
    return report


def known_tasks(model: MultiTaskModel, tasks: str | Iterable[str] | None) -> list[str]:
    """Return the names of the tasks asked for, by default of the enabled ones with labels.

    Raises:
        InputError: If a name is not a task.
    """
    names = list(model.labelled_tasks if tasks is None else names_of(tasks))
    for name in names:
        if name not in model.tasks.names:
            raise InputError(f"no task is named {name!r}; {hint(name, model.tasks.names)}")
    return names


def _score(task: str, metrics: TaskMetrics, report: Report) -> float:
    metric = metrics.primary(task)
    return normalised_score(
        report[task][metric.name], report.trivial[task][metric.name], metric.best
    )


def predict(
    model: MultiTaskModel,
    data: RowsOnce,
    *,
    batch_size: int,
    tasks: str | Iterable[str] | None = None,
    processes: Processes = ALONE,
) -> dict[str, Prediction]:
    """Predict every row, in order; tensors on the CPU.

    Several processes compute the batches in turns, and all get all predictions.

    Returns:
        Predictions by task.

    Raises:
        InputError: If a task is unknown, or there is no row.
    """
    names = known_tasks(model, tasks)
    found: dict[str, list[Prediction]] = {name: [] for name in names}
    numbers = []

    def computed(_: int, given: tuple[Tensor | None, Batch]) -> tuple[Any, Any]:
        rows, batch = given
        return rows, model.decode(model(batch.inputs, names))

    device = next(model.parameters()).device
    with evaluating(model):
        for rows, predictions in evaluated_in_turns(processes, data, batch_size, computed, device):
            numbers.append(rows)
            for name, prediction in predictions.items():
                found[name].append(prediction)
    _require_rows(numbers)
    return {
        name: Prediction.joined(own, numbers).map(lambda values: values.cpu())
        for name, own in found.items()
    }


def soft_targets(
    model: MultiTaskModel, data: RowsOnce, *, batch_size: int, tasks: str | Iterable[str]
) -> dict[str, Tensor]:
    """Compute what other models learn from this one, for every row; see `Task.soft`.

    Returns:
        By task (N, ...), rows in order, on the CPU.

    Raises:
        InputError: If a task is unknown, or there is no row.
    """
    names = known_tasks(model, tasks)
    found: dict[str, list[Tensor]] = {name: [] for name in names}
    numbers = []
    with evaluating(model):
        for rows, batch in data.once(batch_size):
            numbers.append(rows)
            for name, raw in model(batch.inputs, names).items():
                found[name].append(soft_of(model.tasks[name], raw).float())
    _require_rows(numbers)
    return {name: join_rows(own, numbers).cpu() for name, own in found.items()}


def embed(
    model: MultiTaskModel,
    data: RowsOnce,
    *,
    batch_size: int,
    tasks: str | Iterable[str] | None = None,
) -> Tensor:
    """Compute the inputs of the heads for every row.

    Returns:
        Representations (N, D), rows in order, on the CPU.

    Raises:
        InputError: If the tasks have their own representations, or there is no row.
    """
    names = known_tasks(model, tasks)
    numbers, found = [], []
    with evaluating(model):
        for rows, batch in data.once(batch_size):
            numbers.append(rows)
            found.append(model.represent(batch.inputs, names))
    _require_rows(numbers)
    return join_rows(found, numbers).cpu()


def _require_rows(batches: Sized) -> None:
    if not batches:
        raise InputError("the data have no rows; expected at least one")


@contextmanager
def evaluating(model: MultiTaskModel) -> Iterator[None]:
    """Compute without gradients, in evaluation mode; the mode is restored."""
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(was_training)
