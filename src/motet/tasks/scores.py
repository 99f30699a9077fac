"""Scores that compare across tasks: 0 for ignoring the input, 1 for perfect.

A metric m becomes s = (m - m0) / (m* - m0), where m0 is what a constant prediction reaches that was
fitted on the training labels, and m* is perfect. Not clipped: below 0 is worse than not looking.
"""

from collections.abc import Iterable, Mapping
from math import nan
from typing import Any

from torch import Tensor

from motet.tasks.base import Prediction, Task
from motet.tasks.labels import as_tensor
from motet.tasks.metrics import Metric
from motet.tasks.task_metrics import Chosen, find_metrics, score


def normalised_score(value: float, trivial: float, best: float | None) -> float:
    """Place a metric between a trivial predictor (0) and a perfect one (1).

    Args:
        value: The metric, m.
        trivial: What the trivial predictor reaches, m0.
        best: What a perfect one reaches, m*; None if not known.

    Returns:
        (m - m0) / (m* - m0); NaN where m* is m0 or not known.

    Example:
        >>> round(normalised_score(0.8, trivial=0.6, best=1.0), 6)
        0.5
    """
    if best is None or best == trivial:
        return nan
    return (value - trivial) / (best - trivial)


def trivial_metrics(
    tasks: Iterable[Task],
    train_targets: Mapping[str, Any],
    targets: Mapping[str, Any],
    metrics: Mapping[str, Chosen] | None = None,
) -> dict[str, dict[str, float]]:
    """Score each task's constant prediction, the m0 of `normalised_score`.

    Args:
        tasks: The tasks.
        train_targets: All training labels of each task, to which the constant is fitted.
        targets: Labels of the split that is evaluated.
        metrics: For some tasks, the metrics to compute instead of the task's own.

    Returns:
        Metrics by name, by task; NaN where a split has no label.
    """
    tasks = list(tasks)
    return {
        task.name: _trivial(task, chosen, train_targets.get(task.name), targets.get(task.name))
        for task, chosen in zip(tasks, find_metrics(tasks, metrics).values(), strict=True)
    }


def _trivial(
    task: Task, metrics: Mapping[str, Metric], train: Any, target: Any
) -> dict[str, float]:
    fitted, judged = _known(task, train), _known(task, target)
    if fitted is None or judged is None:
        return dict.fromkeys(metrics, nan)
    truth = task.restore(judged)
    found = {}
    for name, metric in metrics.items():
        constant = _repeated(task.trivial(fitted, name), len(truth))
        found[name] = score(task, {name: metric}, constant, truth)[name].value
    return found


def _known(task: Task, target: Any) -> Tensor | None:
    """Rows with a label, or None if there are none."""
    if target is None:
        return None
    known = as_tensor(target).cpu()
    known = known[task.labelled(known)]
    return known if len(known) else None


def _repeated(prediction: Prediction, rows: int) -> Prediction:
    return Prediction(
        *(None if part is None else part.expand(rows, *part.shape[1:]) for part in prediction)
    )
