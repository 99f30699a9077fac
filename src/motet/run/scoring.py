"""The first metric of tasks on some labelled rows, for tests between models on these rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from motet.run.frozen_states import inputs_of
from motet.run.runs import Run
from motet.tasks import Prediction, Task, TaskMetrics
from motet.tasks.metric import Metric


@dataclass(frozen=True)
class Scored:
    """What a model predicts of a task for N labelled rows, beside the labels."""

    task: Task
    prediction: Prediction
    target: Tensor
    """Encoded labels (N, ...), none of which is missing in a whole row."""
    weights: Tensor | None = None
    """How much each row counts in the metric, (N,), where they differ."""

    @property
    def metric(self) -> Metric:
        """The metric that scores the task: its first."""
        return TaskMetrics([self.task]).primary(self.task.name)

    def __len__(self) -> int:
        return len(self.target)

    def on(self, rows: NDArray[np.int64]) -> float:
        """Compute the metric on rows, by position (n,)."""
        places, name = torch.from_numpy(rows), self.task.name
        found = TaskMetrics([self.task], {name: [self.metric.name]})
        own = self.prediction.map(lambda values: values[places])
        weights = {} if self.weights is None else {name: self.weights[places]}
        found.update_predictions({name: own}, {name: self.target[places]}, {}, weights)
        return found.compute(name)[self.metric.name]

    def right(self) -> NDArray[np.float64]:
        """Return which rows are predicted exactly, 1 or 0, (N,), of tasks with one class a row."""
        truth = self.task.restore(self.target)
        found: NDArray[np.float64] = (self.prediction.value == truth).double().numpy()
        return found

    @property
    def units(self) -> NDArray[np.float64] | None:
        """Numbers of rows that belong together (N,), as those of a query; None if all differ."""
        groups = self.task.groups(self.target)
        if groups is None:
            return None
        found: NDArray[np.float64] = groups.double().numpy()
        alone = ~(found >= 0)
        found[alone] = found.max(initial=0) + 1 + np.arange(alone.sum())
        return found


def scored(run: Run, table: pa.Table, tasks: Sequence[str]) -> dict[str, Scored]:
    """Let a run predict labelled rows.

    Args:
        run: The run.
        table: Raw rows.
        tasks: Tasks whose labels they have.

    Returns:
        By task, what it predicts for the rows that have a label of it, in their order.
    """
    preprocessing, view = run.reader.preprocessing, run.reader.view(table, "")
    targets = preprocessing.targets(view, only=tasks)
    weights = preprocessing.weights(view, targets)
    found = {}
    for name, prediction in run._predictions(inputs_of(run, table), list(tasks)).items():
        task, target = run.model.tasks[name], torch.from_numpy(np.array(targets[name]))
        known, own = task.labelled(target), None
        if name in weights:
            given = torch.from_numpy(weights[name])
            known &= given > 0
            own = given[known] if task.weighted_metrics else None
        predicted = prediction.map(lambda values: values[known])  # noqa: B023  # used at once
        found[name] = Scored(task, predicted, target[known], own)
    return found
