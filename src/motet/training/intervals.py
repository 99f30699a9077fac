"""When to evaluate during training: after which steps and epochs, and which tasks.

A task that is evaluated less often than others counts with its last score in between.
"""

import math
from collections.abc import Container, Mapping

from motet.model import MultiTaskModel
from motet.options import Every
from motet.training.evaluation import Report, summed_up
from motet.training.state import LastResult, TrainingState, finite


def due_after_step(every: Every, step: int) -> bool:
    """Whether to evaluate after this step."""
    return isinstance(every, int) and step % every == 0


def due_after_epoch(every: Every, epoch: int) -> bool:
    """Whether to evaluate after this epoch."""
    return every == "epoch" or (isinstance(every, Mapping) and epoch % every["epochs"] == 0)


def due_tasks(model: MultiTaskModel, labelled: Container[str], state: TrainingState) -> list[str]:
    """Return the enabled tasks with targets that the next evaluation covers.

    A task is due at the first evaluation, and at every ``evaluate_every``-th from then on;
    auxiliary tasks are due whenever another is.
    """
    due = [
        name
        for name in model.active_tasks
        if name in labelled
        and (
            name not in state.last_results
            or state.evaluated % model.tasks[name].evaluate_every == 0
        )
    ]
    return [*due, *model.auxiliary_tasks] if due else []


def with_last(report: Report, model: MultiTaskModel, state: TrainingState) -> Report:
    """Remember a report, and complete it with the last results of the enabled tasks it leaves out.

    Returns:
        Loss, count and score of all tasks that were ever evaluated and are enabled, and the means
        over them.
    """
    for name, score in report.scores.items():
        own = report[name]
        state.last_results[name] = LastResult(_known(score), _known(own["loss"]), own["count"])
    whole = Report({name: report[name] for name in report.scores})
    whole.notes = report.notes
    for name in model.active_tasks:
        last = state.last_results.get(name)
        if last is not None:
            whole.setdefault(name, {"loss": _number(last.loss), "count": last.labels})
            whole.scores[name] = _number(last.score)
    return summed_up(whole, [model.tasks[name] for name in whole.scores])


def _known(value: float) -> float | None:
    return None if math.isnan(value) else finite(value)  # JSON has no NaN


def _number(value: float | None) -> float:
    return math.nan if value is None else value
