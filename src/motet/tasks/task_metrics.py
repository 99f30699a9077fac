"""Metrics of all tasks over a split, fed batch by batch.

`TaskMetrics.update` keeps references to raw outputs and targets where they are, on the device, and
computes nothing, so a batch costs microseconds and no wait for the device. The price is memory: all
raw outputs of the split, outputs x 4 bytes per row and task. Everything is computed at once, in
`TaskMetrics.compute`. Only tasks that read tokens are decoded batch by batch, as the tags take far
less room than the scores of all tags.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import nan
from typing import Any, overload

import torch
from torch import Tensor

from motet.problems import InputError, hint
from motet.registry import METRICS
from motet.states import join_rows
from motet.tasks.base import Prediction, Task, listed_tasks
from motet.tasks.labels import as_tensor
from motet.tasks.metric import Metric, Score, Split, of_arrays

MetricChoice = Sequence[str | Callable[..., Any]] | str | Callable[..., Any]
"""Names and functions, or a single one."""


class TaskMetrics:
    """Loss, metrics and number of labelled rows of each task over a whole split.

    Args:
        tasks: The tasks.
        metrics: For some tasks, the metrics to compute instead of the task's own: a list of names
            and functions ``(predictions, targets) -> float`` on NumPy arrays, or a single one. A
            function is named as it was defined, a lambda for its place in the list: metric_1,
            metric_2, ...

    Raises:
        InputError: If a metric or task is unknown, or does not suit the other.

    Example:
        >>> from motet.tasks import Regression
        >>> metrics = TaskMetrics([Regression("area", metrics=["mae"])])
        >>> metrics.update({"area": [1.0, 2.0]}, {"area": [1.0, None]})
        >>> metrics.update({"area": [3.0]}, {"area": [5.0]})
        >>> metrics.compute("area")
        {'mae': 1.0, 'loss': 2.0, 'count': 2}
    """

    metrics: dict[str, dict[str, Metric]]
    """The metrics of each task by name; the first is the one that scores."""
    notes: dict[str, str]
    """What `compute` has to say about "task.metric": why it is NaN, or what it left out; and about
    "task.prediction": what it is, where it is the same in every row."""

    def __init__(
        self, tasks: Iterable[Task], metrics: Mapping[str, MetricChoice] | None = None
    ) -> None:
        self.tasks = {task.name: task for task in listed_tasks(tasks)}
        self.metrics = find_metrics(self.tasks.values(), metrics)
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        self.notes = {}
        self._raw: defaultdict[str, list[Tensor]] = defaultdict(list)
        self._targets: defaultdict[str, list[Tensor]] = defaultdict(list)
        self._losses: defaultdict[str, list[tuple[Tensor, Tensor]]] = defaultdict(list)
        self._numbers: defaultdict[str, list[Tensor | None]] = defaultdict(list)

    def update(
        self,
        raw: Mapping[str, Any],
        targets: Mapping[str, Any],
        losses: Mapping[str, tuple[Tensor, Tensor]] | None = None,
        numbers: Tensor | None = None,
    ) -> None:
        """Take in a batch. Tensors are kept, not copied: do not change them afterwards.

        Args:
            raw: Raw outputs of each task, as ``model(x)`` returns them; tensors or arrays.
            targets: Labels of each task. A task without any (left out, or None) is skipped.
            losses: (sum, count) of each task, if they are known already; otherwise `compute`
                computes the loss.
            numbers: The numbers (B,) of the rows, if batches come in an order of their own, for
                metrics that know the rows by their place; given for all batches or for none.

        Raises:
            InputError: If a task is unknown or the numbers of rows differ.
        """
        for name in raw:
            if name not in self.tasks:
                raise InputError(f"no task is named {name!r}; {hint(name, self.tasks)}")
            if targets.get(name) is not None:
                known = None if losses is None else losses.get(name)
                self._keep(name, as_tensor(raw[name]), as_tensor(targets[name]), known)
                self._number(name, numbers)

    @overload
    def compute(self) -> dict[str, dict[str, float]]: ...
    @overload
    def compute(self, task: str) -> dict[str, float]: ...
    def compute(self, task: str | None = None) -> dict[str, Any]:
        """Compute everything, of all tasks or of one.

        Args:
            task: A task's name, or None for all.

        Returns:
            For each task, or for the one: its metrics by name, ``"loss"``, and ``"count"``, the
            number of rows with a label. NaN where there is nothing to compute; see ``notes``.

        Raises:
            InputError: If the task is unknown.
        """
        if task is None:
            return {name: self._compute(self.tasks[name]) for name in self.tasks}
        if task not in self.tasks:
            raise InputError(f"no task is named {task!r}; {hint(task, self.tasks)}")
        return self._compute(self.tasks[task])

    def primary(self, task: str) -> Metric:
        """Return the metric that scores a task: its first."""
        return next(iter(self.metrics[task].values()))

    @torch.no_grad()
    def _keep(
        self, name: str, raw: Tensor, target: Tensor, loss: tuple[Tensor, Tensor] | None
    ) -> None:
        if len(raw) != len(target):
            raise InputError(
                f"task {name!r}: found {len(raw)} raw outputs and {len(target)} labels, expected "
                "one of each per row"
            )
        task = self.tasks[name]
        if task.reads == "tokens":
            loss = loss or task.loss(raw, target)
            raw = task.decode(raw).value
        if loss is not None:
            self._losses[name].append((loss[0].detach(), loss[1].detach()))
        raw, target = task.label_kind.squeezed(raw, target)
        self._raw[name].append(raw)
        self._targets[name].append(target)

    def _number(self, name: str, numbers: Tensor | None) -> None:
        known = self._numbers[name]
        known.append(numbers)
        if (known[0] is None) != (numbers is None):
            raise InputError(
                f"task {name!r}: rows of some batches have numbers and those of others have none; "
                "give numbers with all batches, or with none"
            )

    @torch.no_grad()
    def _compute(self, task: Task) -> dict[str, float]:
        batches = self._raw[task.name]
        metrics = self.metrics[task.name]
        if not batches:
            return self._report(task, dict.fromkeys(metrics, NO_LABELS), nan, 0)
        numbers = self._numbers[task.name]
        raw, target = (join_rows(each, numbers) for each in (batches, self._targets[task.name]))
        target = target.to(raw.device)
        rows = task.labelled(target)
        loss = self._loss(task, raw, target)
        count = int(rows.sum())
        if not count:
            return self._report(task, dict.fromkeys(metrics, NO_LABELS), nan, 0)
        # in float32, sure predictions would tie at 1
        decoded = task.decode(raw[rows].double()) if task.reads == "row" else Prediction(raw[rows])
        truth = task.restore(target[rows])
        scores = score(task, metrics, decoded, truth)
        self._note(f"{task.name}.prediction", constant_note(task, decoded, truth))
        return self._report(task, scores, loss, count)

    def _loss(self, task: Task, raw: Tensor, target: Tensor) -> float:
        known = self._losses[task.name]
        if len(known) == len(self._raw[task.name]):
            total, count = (torch.stack(parts).double().sum() for parts in zip(*known, strict=True))
        else:
            total, count = task.loss(raw, target)
        return float(total / count) if count else nan

    def _report(
        self, task: Task, scores: Mapping[str, Score], loss: float, count: int
    ) -> dict[str, float]:
        for name, found in scores.items():
            self._note(f"{task.name}.{name}", found.note)
        values = {name: found.value for name, found in scores.items()}
        return {**values, "loss": loss, "count": count}

    def _note(self, key: str, note: str) -> None:
        self.notes.pop(key, None)
        if note:
            self.notes[key] = note


NO_LABELS = Score(nan, "no row has a label")


def score(
    task: Task, metrics: Mapping[str, Metric], prediction: Prediction, target: Tensor
) -> dict[str, Score]:
    """Compute metrics for predictions of labelled rows.

    Args:
        task: The task.
        metrics: Its metrics by name.
        prediction: Of N rows that have labels.
        target: Their labels in original units, as ``task.restore`` gives them.

    Returns:
        What each metric found, by name.
    """
    kind = task.label_kind
    value, target = kind.aligned(prediction.value, target)
    prediction = prediction._replace(value=value)
    if kind.is_broken(prediction, target):
        return dict.fromkeys(metrics, Score(nan, "a prediction is NaN"))
    split = Split(value, prediction.probabilities, target, task.class_names, task.tags)
    return {name: metric(split) for name, metric in metrics.items()}


def constant_note(task: Task, prediction: Prediction, target: Tensor) -> str:
    """Describe what a task predicts in every row; empty if predictions differ or labels do not."""
    kind = task.label_kind
    ranges = kind.ranges(*kind.aligned(prediction.value, target))
    found = "" if ranges is None else kind.constant(ranges, task.class_names)
    return f"predicts {found}" if found else ""


def find_metrics(
    tasks: Iterable[Task], chosen: Mapping[str, MetricChoice] | None = None
) -> dict[str, dict[str, Metric]]:
    """Find the metrics of each task.

    Args:
        tasks: The tasks.
        chosen: For some tasks, names and functions instead of the task's own.

    Returns:
        Metrics by name, by task.

    Raises:
        InputError: If a metric or task is unknown, or does not suit the other.
    """
    by_name = {task.name: task for task in tasks}
    for name in chosen or {}:
        if name not in by_name:
            raise InputError(f"metrics: no task is named {name!r}; {hint(name, by_name)}")
    return {
        name: _of_task(task, (chosen or {}).get(name, task.metrics))
        for name, task in by_name.items()
    }


def _of_task(task: Task, chosen: MetricChoice) -> dict[str, Metric]:
    found: dict[str, Metric] = {}
    if isinstance(chosen, str) or not isinstance(chosen, Sequence):
        chosen = [chosen]
    for place, each in enumerate(chosen, start=1):
        metric = _metric(each, place)
        if not metric.suits(task.label_kind):
            raise InputError(
                f"task {task.name!r}: the metric {metric.name!r} does not suit {task.kind}; these "
                f"do: {', '.join(_suiting(task))}"
            )
        if metric.name in ("loss", "count", *found):
            raise InputError(
                f"task {task.name!r}: a second metric is named {metric.name!r}; leave one out, or "
                "rename the function"
            )
        found[metric.name] = metric
    return found


def _metric(given: str | Callable[..., Any], place: int) -> Metric:
    member = METRICS[given] if isinstance(given, str) else given
    if isinstance(member, Metric):
        return member
    if not callable(member):
        raise InputError(
            f"metrics: found {member!r}, expected a name or a function (predictions, targets) -> "
            f"float; names: {', '.join(METRICS)}"
        )
    own = getattr(member, "__name__", "<lambda>")
    unnamed = f"metric_{place}" if own == "<lambda>" else own
    return of_arrays(member, given if isinstance(given, str) else unnamed)


def _suiting(task: Task) -> list[str]:
    members = {name: METRICS[name] for name in METRICS}
    return [n for n, m in members.items() if not isinstance(m, Metric) or m.suits(task.label_kind)]
