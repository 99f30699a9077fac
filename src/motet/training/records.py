"""What happened in training, as facts: one record for a step, an epoch, an evaluation, a test.

Records hold numbers only and need no torch; `motet.run.lines` formats them for people.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

LOG_EVERY = 50
"""Steps between two step records."""
Values = Mapping[str, Mapping[str, float]]
"""Numbers by task and by name, such as loss, weight and metrics."""


@dataclass(frozen=True)
class Record:
    """What all records have in common."""

    def as_dict(self) -> dict[str, Any]:
        """Return the record as a line of ``metrics.jsonl`` holds it; without what is None."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class StepRecord(Record):
    """One training step, before it changed the model."""

    event: Literal["step"] = "step"
    step: int
    """Steps made, this one included."""
    epoch: int
    """The epoch in progress, counted from 1."""
    split: Literal["train"] = "train"
    balancer: str
    """Name of the balancer."""
    gradient_norm: float
    """Norm of the whole gradient, before clipping."""
    cosines: list[list[float | None]] | None = None
    """Cosines between the gradients of every two tasks in ``compared``, if they are known."""
    cosines_by_group: Mapping[str, list[list[float | None]]] | None = None
    """The same on each group of layers, at the steps that measure them."""
    affinity: list[list[float | None]] | None = None
    """Share of the loss of each task (column) that a step of plain gradient descent for another one
    (row) removes; None where that loss is not positive. See `motet.training.affinity`."""
    compared: list[str] | None = None
    """The tasks in the order of these rows and columns."""
    status: str | None = None
    """How the balancer's problem was solved."""
    penalty: float | None = None
    """The regulariser of the sharing scheme."""
    fusion: Mapping[str, float] | None = None
    """Mean weight of each modality in the last forward pass, if the fusion weighs them."""
    seconds: float
    """Seconds since the epoch began, or was resumed."""
    tasks: Values
    """Loss of each task that has a label, and its weight and gradient norm where they are known."""
    learning_rate: float
    """The highest learning rate, without factors of single parameter groups."""


@dataclass(frozen=True, kw_only=True)
class EpochRecord(Record):
    """One pass over the training data."""

    event: Literal["epoch"] = "epoch"
    step: int
    """Steps made."""
    epoch: int
    """Epochs completed, this one included."""
    split: Literal["train"] = "train"
    skipped: int
    """Steps skipped since training began, as they were not finite."""
    balancer: str
    """Name of the balancer."""
    sharing: Mapping[str, Any] | None = None
    """What the sharing scheme reports about itself."""
    groups: Mapping[str, Any] | None = None
    """The groups of tasks that were found at the end of the epoch, and the similarities that they
    follow from; see `motet.training.regrouping.Refresh`."""
    scheduled: Mapping[str, Mapping[str, int]] | None = None
    """By task, the ``steps`` that trained it and the ``rows`` of its batches, where they differ."""
    trained: Mapping[str, Any] | None = None
    """Which parameters are trained, if some are frozen."""
    rows: Mapping[str, int] | None = None
    """Rows that were trained on by source, if data have several."""
    seconds: float
    """Seconds since the epoch began, or was resumed."""
    tasks: Values
    """Mean loss of each task that had a label, and the last weight where it is known."""
    learning_rate: float
    """The highest learning rate, without factors of single parameter groups."""

    @property
    def new_groups(self) -> list[str] | None:
        """The groups of tasks, each as a text, if others than before were found."""
        if self.groups is None or not self.groups["changed"]:
            return None
        return [", ".join(group) for group in self.groups["groups"]]


@dataclass(frozen=True, kw_only=True)
class EvaluationRecord(Record):
    """One evaluation on the validation data."""

    event: Literal["step", "epoch"]
    """Whether evaluations come after so many steps, or at the end of epochs."""
    step: int
    """Steps made."""
    epoch: int
    """The epoch completed, or in progress where evaluations come after so many steps."""
    split: Literal["validation"] = "validation"
    score: float
    """Mean normalised score of the main tasks."""
    monitored: float | None = None
    """The monitored value; higher is better. None before the tasks begin that it depends on."""
    best: bool
    """Whether it is the best so far."""
    scores: Mapping[str, float] | None = None
    """Normalised score of each task: 0 is a predictor that ignores the inputs, 1 is perfect."""
    fusion: Mapping[str, float] | None = None
    """Mean weight of each modality over all rows, if the fusion weighs them."""
    notes: Mapping[str, str] | None = None
    """By ``task.metric``, why a metric is NaN; by ``task.prediction``, a constant prediction."""
    seconds: float
    """Seconds since the epoch began, or was resumed."""
    tasks: Values
    """Metrics, loss and number of labels of each task that was evaluated."""
    learning_rate: float
    """The highest learning rate, without factors of single parameter groups."""


@dataclass(frozen=True, kw_only=True)
class TestRecord(Record):
    """The evaluation on the test rows, once, at the end of a run."""

    __test__ = False  # for pytest, which would collect it by its name

    event: Literal["test"] = "test"
    step: int
    """Steps made."""
    epoch: int
    """The epoch whose weights were evaluated."""
    split: Literal["test"] = "test"
    seconds: float
    """Seconds that the evaluation took."""
    tasks: Values
    """Metrics, loss and number of labels of each task."""
    fusion: Mapping[str, float] | None = None
    """Mean weight of each modality over all rows, if the fusion weighs them."""
    score: float
    """Mean normalised score of the main tasks."""
    scores: Mapping[str, float] | None = None
    """Normalised score of each task: 0 is a predictor that ignores the inputs, 1 is perfect."""
    trivial: Values | None = None
    """Metrics of a predictor that ignores the inputs, by task."""
