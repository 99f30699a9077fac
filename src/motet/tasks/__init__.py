"""Tasks: how labels are read, which loss and metrics they have, and what a prediction is."""

from typing import Any

from motet import options
from motet.registry import TASKS
from motet.tasks.base import Prediction, Task
from motet.tasks.classification import Classification
from motet.tasks.heads import CustomHead, TaskHead
from motet.tasks.metrics import Metric, Score, Split
from motet.tasks.multi_label import MultiLabel
from motet.tasks.regression import Regression
from motet.tasks.scores import normalised_score, trivial_metrics
from motet.tasks.task_metrics import TaskMetrics

__all__ = [
    "Classification",
    "CustomHead",
    "Metric",
    "MultiLabel",
    "Prediction",
    "Regression",
    "Score",
    "Split",
    "Task",
    "TaskHead",
    "TaskMetrics",
    "available",
    "create",
    "normalised_score",
    "trivial_metrics",
]


def available() -> list[str]:
    """List the kinds of task, those of users too.

    Example:
        >>> available()[:3]
        ['classification', 'regression', 'multi_label']
    """
    return list(TASKS)


def create(kind: str, name: str, **settings: Any) -> Any:
    """Make a task of a kind, as a config does.

    Args:
        kind: One of `available`.
        name: The task's name.
        **settings: Options of that kind.

    Returns:
        The task.

    Raises:
        InputError: If the kind or an option is unknown, or an option has a wrong value.

    Example:
        >>> create("classification", "digit", classes=10)
        Classification('digit', outputs=10)
    """
    return options.create(TASKS, kind, name, **settings)
