"""Makes records from the results of a step, an epoch or an evaluation."""

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from torch import Tensor

from motet.training.pairs import plain
from motet.training.records import EpochRecord, EvaluationRecord, StepRecord
from motet.training.statistics import cosines_of
from motet.training.steps import StepResult
from motet.training.validation import Validation


class Moment(TypedDict):
    """When a record was made; see the fields of records."""

    step: int
    epoch: int
    seconds: float
    learning_rate: float


def step_record(
    result: StepResult, balancer: str, moment: Moment, fusion: Mapping[str, float]
) -> StepRecord:
    """Return the record of a step in which a task had a label; this waits for the device.

    Args:
        result: What the step computed.
        balancer: Name of the balancer.
        moment: When it was made.
        fusion: Mean weight of each modality, if a fusion weighs them.
    """
    balanced = result.balanced
    assert balanced is not None
    weights, norms = balanced.weights or {}, result.gradient_norms
    measured, affinity = result.measured, result.affinity
    groups = {} if measured is None else measured.by_group
    cosines = None if measured is None else plain(measured.cosines)
    if cosines is None and balanced.cosines is not None:
        cosines = balanced.cosines.tolist()
    compared = balanced.tasks if measured is None else measured.tasks
    return StepRecord(
        balancer=balancer,
        gradient_norm=float(result.gradient_norm or 0),
        cosines=cosines,
        cosines_by_group={name: plain(cosines_of(each)) for name, each in groups.items()} or None,
        affinity=None if affinity is None else plain(affinity),
        compared=None if cosines is None else list(compared),
        status=None if balanced.gramian is None else balanced.status,
        fusion=fusion or None,
        penalty=None if result.penalty is None else float(result.penalty),
        tasks={
            task: {"loss": float(loss)}
            | ({"weight": float(weights[task])} if task in weights else {})
            | ({"gradient_norm": norms[task]} if task in norms else {})
            for task, loss in result.losses.items()
        },
        **moment,
    )


def epoch_record(
    means: Mapping[str, float], weights: Mapping[str, Tensor], moment: Moment, **facts: Any
) -> EpochRecord:
    """Return the record of an epoch.

    Args:
        means: Mean loss of each task that had a label.
        weights: The last weights of the tasks.
        moment: When it ended.
        facts: Other fields of the record.
    """
    tasks = {
        task: {"loss": loss} | ({"weight": float(weights[task])} if task in weights else {})
        for task, loss in means.items()
    }
    return EpochRecord(tasks=tasks, **moment, **facts)


def evaluation_record(
    found: Validation, event: Literal["step", "epoch"], moment: Moment
) -> EvaluationRecord:
    """Return the record of an evaluation on the validation data."""
    report = found.report
    return EvaluationRecord(
        event=event,
        score=found.score,
        monitored=found.monitored,
        best=found.best,
        scores=report.scores or None,
        fusion=report.fusion or None,
        notes=report.notes or None,
        tasks=report.tasks,
        **moment,
    )
