"""Evaluation and prediction over a whole data set, and scores against trivial predictors."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from motet.data.batches import Data
from motet.model import MultiTaskModel
from motet.states import join_rows
from motet.tasks import Prediction, Task, TaskMetrics
from motet.tasks.scores import Trivial, normalised_score, score_trivial


class Report(dict[str, Any]):
    """``{task: {metric: value, "loss": ..., "count": ...}, "score": ...}`` and what it rests on.

    ``score`` is the mean normalised score of the main tasks; NaN if none has one.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.trivial: dict[str, dict[str, float]] = {}
        """Metrics of a predictor that ignores the inputs, on the same rows."""
        self.scores: dict[str, float] = {}
        """Normalised score of each task: 0 is that predictor, 1 is perfect."""
        self.worst = math.nan
        """Lowest score of the main tasks."""
        self.notes: dict[str, str] = {}
        """Why a metric is NaN, by ``task.metric``."""


def evaluate(
    model: MultiTaskModel,
    data: Data,
    *,
    batch_size: int,
    metrics: Mapping[str, Any] | None = None,
    trivial: Trivial | None = None,
) -> Report:
    """Compute every metric of every enabled task that has targets in ``data``.

    Args:
        model: The model; its mode is given back as it was.
        data: Inputs and targets, on the model's device.
        batch_size: Rows per forward pass.
        metrics: Metrics by task, in place of each task's own.
        trivial: Constant predictions to score against; without them scores are NaN.

    Returns:
        Metrics, losses and scores.
    """
    tasks = [model.tasks[name] for name in model.active_tasks if name in data.targets]
    chosen = {task.name: metrics[task.name] for task in tasks if metrics and task.name in metrics}
    found = TaskMetrics(tasks, chosen)
    for batch, raw in _forward(model, data, batch_size, [task.name for task in tasks]):
        found.update(raw, batch["targets"], model.loss_terms(raw, batch["targets"]))
    report = Report(found.compute())
    report.notes = dict(found.notes)
    report.trivial = score_trivial(tasks, trivial or {}, data.targets, chosen)
    report.scores = {task.name: _score(task.name, found, report) for task in tasks}
    names = main_tasks(tasks)
    scores = [report.scores[name] for name in names if not math.isnan(report.scores[name])]
    report["score"] = sum(scores) / len(scores) if scores else math.nan
    report.worst = min(scores, default=math.nan)
    return report


def main_tasks(tasks: Iterable[Task]) -> list[str]:
    """Return the names of the tasks marked as main, or of all if none is."""
    tasks = list(tasks)
    return [task.name for task in tasks if task.main] or [task.name for task in tasks]


def _score(task: str, metrics: TaskMetrics, report: Report) -> float:
    metric = metrics.primary(task)
    return normalised_score(
        report[task][metric.name], report.trivial[task][metric.name], metric.best
    )


def predict(
    model: MultiTaskModel,
    data: Data,
    *,
    batch_size: int,
    tasks: Iterable[str] | None = None,
) -> dict[str, Prediction]:
    """Predict every row, in order; tensors on the CPU."""
    names = list(model.active_tasks if tasks is None else tasks)
    parts: dict[str, list[Prediction]] = {name: [] for name in names}
    for _, raw in _forward(model, data, batch_size, names):
        for name, prediction in model.decode(raw).items():
            parts[name].append(prediction)
    return {name: _joined(predictions) for name, predictions in parts.items()}


def _forward(
    model: MultiTaskModel, data: Data, batch_size: int, tasks: list[str]
) -> Iterator[tuple[dict[str, Any], dict[str, Tensor]]]:
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for batch in data.batches(batch_size):
                yield batch, model(batch["inputs"], tasks)
    finally:
        model.train(was_training)


def _joined(parts: list[Prediction]) -> Prediction:
    columns = zip(*parts, strict=True)
    value, probabilities = (None if c[0] is None else join_rows(c).cpu() for c in columns)
    assert value is not None
    return Prediction(value, probabilities)
