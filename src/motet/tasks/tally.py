"""Scores of one task, over labelled rows that come in batches."""

from collections.abc import Mapping
from math import nan

from torch import Tensor

from motet.tasks.base import Task
from motet.tasks.kinds import Ranges
from motet.tasks.metric import Final, Metric, Score, ScoredRows, State, merged
from motet.tasks.prediction import Prediction

NO_LABELS = Score(nan, "no row has a label")
_NOT_A_NUMBER = Score(nan, "a prediction is NaN")


class Tally:
    """What the metrics of a task keep of rows, its own and those of constant predictions.

    Args:
        task: The task.
        metrics: Its metrics by name. If one of them needs all rows at once, `add` may be called
            only once.
        trivial: Constant predictions by metric, if they are to be scored too.
    """

    def __init__(
        self,
        task: Task,
        metrics: Mapping[str, Metric],
        trivial: Mapping[str, Prediction] | None = None,
    ) -> None:
        self.task, self.metrics = task, metrics
        self.rows = 0
        self._trivial = trivial
        self._states: dict[str, State | Final] = {}
        self._trivial_states: dict[str, State | Final] = {}
        self._ranges: Ranges | None = None

    def add(self, prediction: Prediction, target: Tensor, weights: Tensor | None = None) -> None:
        """Add labelled rows.

        Args:
            prediction: Of N rows, N at least 1.
            target: Their labels in original units.
            weights: How much each row counts, (N,), if metrics count rows by it.
        """
        task, kind = self.task, self.task.label_kind
        self.rows += len(target)
        _merge(self._states, states(task, self.metrics, prediction, target, weights))
        for name, constant in (self._trivial or {}).items():
            if name in self.metrics:
                own, repeated = {name: self.metrics[name]}, kind.repeated(constant, target)
                _merge(self._trivial_states, states(task, own, repeated, target, weights))
        ranges = kind.ranges(*kind.aligned(prediction.value, target))
        if self._ranges is not None and ranges is not None:
            ranges = self._ranges.merged(ranges)
        self._ranges = ranges or self._ranges

    def scores(self) -> dict[str, Score]:
        """Return what each metric found, by name; NaN without rows."""
        return _scores(self._states, self.metrics)

    def trivial_scores(self) -> dict[str, Score]:
        """Return what each metric found for its constant prediction; NaN without one."""
        return _scores(self._trivial_states, self.metrics)

    def constant_note(self) -> str:
        """Describe a prediction that all rows have; empty if predictions differ or labels agree."""
        if self._ranges is None:
            return ""
        found = self.task.label_kind.constant(self._ranges, self.task.class_names)
        return f"predicts {found}" if found else ""


def states(
    task: Task,
    metrics: Mapping[str, Metric],
    prediction: Prediction,
    target: Tensor,
    weights: Tensor | None = None,
) -> dict[str, State | Final]:
    """Return what metrics keep of labelled rows.

    Args:
        task: The task.
        metrics: Metrics by name.
        prediction: Of N rows.
        target: Their labels in original units, as ``task.restore`` returns them.
        weights: How much each row counts, (N,), if metrics count rows by it.

    Returns:
        The state of each metric, by name.
    """
    if weights is not None:
        weights = task.label_kind.aligned_weights(weights, target)
    value, target = task.label_kind.aligned(prediction.value, target)
    prediction = prediction._replace(value=value)
    if task.label_kind.is_broken(prediction, target):
        return dict.fromkeys(metrics, Final(_NOT_A_NUMBER))
    names, tags, levels = task.class_names, task.tags, task.levels
    rows = ScoredRows(value, prediction.probabilities, target, names, tags, levels, weights)
    return {name: metric.state(rows) for name, metric in metrics.items()}


def _merge(found: dict[str, State | Final], more: Mapping[str, State | Final]) -> None:
    for name, state in more.items():
        found[name] = merged(found[name], state) if name in found else state


def _scores(found: Mapping[str, State | Final], metrics: Mapping[str, Metric]) -> dict[str, Score]:
    return {name: found[name].score() if name in found else NO_LABELS for name in metrics}
