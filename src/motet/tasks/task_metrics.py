"""Metrics of all tasks over a split, fed batch by batch.

`TaskMetrics.update` keeps what `Task.keep` makes of a batch, on the device and without waiting for
it. Where all metrics of a task add up, what was kept is added to their sums whenever it has grown
to some millions of numbers, so that memory does not grow with the split; rankings and functions of
users need all rows at once, in `TaskMetrics.compute`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import nan
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import torch
from torch import Tensor

from motet.elsewhere import no_method
from motet.options import known_options
from motet.problems import InputError, hint
from motet.tasks.base import Task
from motet.tasks.choices import WEIGHED_LOSS, MetricChoice, find_metrics
from motet.tasks.labels import as_tensor
from motet.tasks.listing import listed_tasks
from motet.tasks.members import kept_of, loss_of
from motet.tasks.metric import Final, Metric, Score, State, merged
from motet.tasks.metrics.exact import rows_right_together
from motet.tasks.prediction import Kept, Prediction, check_prediction
from motet.tasks.row_weights import divided_by_own_weights, require_weights_taken
from motet.tasks.tally import Tally

_MOST = 1 << 22
"""Predicted numbers up to which rows are kept before they are added up."""
_TOGETHER = 16
"""Batches that are joined: many small tensors between those of forward passes that come and go
would let the memory of the process grow several times as much as they take."""


class KeptBatch(NamedTuple):
    """What `TaskMetrics` keeps of a batch for one task."""

    kept: Kept
    numbers: Tensor | None
    """Numbers of the rows, if they are given."""
    loss: tuple[Tensor, Tensor]
    """Sum and count."""
    weighed: bool
    """Whether rows have weights."""


class TaskMetrics:
    """Loss, metrics and number of labelled rows of each task over a whole split.

    Args:
        tasks: The tasks.
        metrics: For some tasks, the metrics to compute instead of the task's own: a list of names
            and functions ``(predictions, targets) -> float`` on NumPy arrays, or a single one. A
            function is named as it was defined, a lambda for its place in the list: metric_1,
            metric_2, ...
        trivial: Constant predictions to score on the same rows, as `motet.tasks.fit_trivial`
            returns them.

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
    """What `compute` notes about "task.metric": why it is NaN, or what it left out; and about
    "task.prediction": what it is, where it is the same in every row."""
    trivial: dict[str, dict[str, float]]
    """What `compute` found for constant predictions, by task and metric."""

    @known_options
    def __init__(
        self,
        tasks: Iterable[Task],
        metrics: Mapping[str, MetricChoice] | None = None,
        *,
        trivial: Mapping[str, Mapping[str, Prediction]] | None = None,
    ) -> None:
        self.tasks = {task.name: task for task in listed_tasks(tasks)}
        self.metrics = find_metrics(self.tasks.values(), metrics)
        self._constants = trivial or {}
        self._adds_up = {
            name: all(metric.gather is not None for metric in own.values())
            for name, own in self.metrics.items()
        }
        self.reset()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise no_method(self, name)

    def reset(self) -> None:
        """Forget all batches."""
        self.notes, self.trivial = {}, {}
        self._pending: defaultdict[str, list[tuple[Kept, Tensor | None]]] = defaultdict(list)
        self._size: defaultdict[str, int] = defaultdict(int)
        self._loose: defaultdict[str, int] = defaultdict(int)
        self._numbered: dict[str, bool] = {}
        self._weighed: set[str] = set()
        self._losses: dict[str, Tensor] = {}
        self._tallies = {name: self._tally(name) for name in self.tasks}
        self._joint: dict[tuple[str, str], State | Final] = {}

    def update(
        self,
        raw: Mapping[str, Any],
        targets: Mapping[str, Any],
        losses: Mapping[str, tuple[Tensor, Tensor]] | None = None,
        numbers: Tensor | None = None,
        weights: Mapping[str, Any] | None = None,
    ) -> None:
        """Add a batch. Tensors may be kept, not copied: do not change them afterwards.

        It is `add` of what `kept_of` returns, which another process may compute.

        Args:
            raw: Raw outputs of each task, as ``model(x)`` returns them; tensors or arrays.
            targets: Labels of each task. A task without any (left out, or None) is skipped.
            losses: (sum, count) of each task, if they are known already.
            numbers: The numbers (B,) of the rows, if batches come in another order than the rows,
                for metrics that know the rows by their place; given for all batches or for none.
            weights: How much each row counts in the loss, (B,) by task; a row of weight 0 is one
                without a label.

        Raises:
            InputError: If a task is unknown or the numbers of rows differ.
        """
        for name in (*targets, *(losses or ()), *(weights or ())):
            self._require(name)
        self.add(self.kept_of(raw, targets, losses, numbers, weights))

    def kept_of(
        self,
        raw: Mapping[str, Any],
        targets: Mapping[str, Any],
        losses: Mapping[str, tuple[Tensor, Tensor]] | None = None,
        numbers: Tensor | None = None,
        weights: Mapping[str, Any] | None = None,
    ) -> dict[str, KeptBatch]:
        """Return what is kept of a batch, by task; see `update`.

        Raises:
            InputError: If a task is unknown or the numbers of rows differ.
        """
        found: dict[str, KeptBatch] = {}
        for name in raw:
            self._require(name)
            if targets.get(name) is not None:
                known = None if losses is None else losses.get(name)
                own = None if weights is None else weights.get(name)
                weight = None if own is None else as_tensor(own)
                given = as_tensor(raw[name]), as_tensor(targets[name]), weight
                found[name] = self._kept_of(name, *given, known, numbers)
        return found

    @torch.no_grad()
    def add(self, batch: Mapping[str, KeptBatch]) -> None:
        """Add what `kept_of` returned.

        Raises:
            InputError: If some batches have numbers of rows, and others none.
        """
        for name, each in batch.items():
            numbered = each.numbers is not None
            if self._numbered.setdefault(name, numbered) != numbered:
                raise InputError(
                    f"task {name!r}: rows of some batches have numbers and those of others have "
                    "none; give numbers with all batches, or with none"
                )
            if each.weighed:
                self._weighed.add(name)
            self._add_loss(name, each.loss)
            self._hold(name, each.kept, each.numbers)
        self._add_joint({name: each.kept for name, each in batch.items()})

    @torch.no_grad()
    def update_predictions(
        self,
        predictions: Mapping[str, Prediction],
        targets: Mapping[str, Tensor],
        losses: Mapping[str, tuple[Tensor, Tensor]],
        weights: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Add predictions of rows that no single model made, such as those of an ensemble.

        Args:
            predictions: In original units, by task.
            targets: Labels of each of these tasks, of the same rows.
            losses: (sum, count) of tasks, of these rows or others.
            weights: As for `update`.
        """
        for name, loss in losses.items():
            self._add_loss(name, loss)
        kept = {}
        for name, prediction in predictions.items():
            task, own = self.tasks[name], None if weights is None else weights.get(name)
            target = task.counted(targets[name], own)
            own = _of_metrics(task, target, own)
            kept[name] = Kept(prediction, task.restore(target), task.judged(target), own)
            self._hold(name, kept[name])
        self._add_joint(kept)

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
            return {name: self._compute(name) for name in self.tasks}
        self._require(task)
        return self._compute(task)

    def primary(self, task: str) -> Metric:
        """Return the metric that scores a task: its first."""
        return next(iter(self.metrics[task].values()))

    def _require(self, name: str) -> None:
        if name not in self.tasks:
            raise InputError(f"no task is named {name!r}; {hint(name, self.tasks)}")

    def _tally(self, name: str) -> Tally:
        return Tally(self.tasks[name], self.metrics[name], self._constants.get(name))

    @torch.no_grad()
    def _kept_of(
        self,
        name: str,
        raw: Tensor,
        target: Tensor,
        weights: Tensor | None,
        loss: tuple[Tensor, Tensor] | None,
        numbers: Tensor | None,
    ) -> KeptBatch:
        if len(raw) != len(target):
            raise InputError(
                f"task {name!r}: found {len(raw)} raw outputs and {len(target)} labels, expected "
                "one of each per row"
            )
        task = self.tasks[name]
        raw, target = task.label_kind.squeezed(raw, target.to(raw.device))
        if weights is not None:
            require_weights_taken(task)
            weights = weights.to(raw.device)
            with divided_by_own_weights([task]):
                loss = loss or loss_of(task, raw, target, weights)
            target = task.counted(target, weights)
        total, count = loss or loss_of(task, raw, target)
        kept = kept_of(task, raw, target)
        kept = kept._replace(weights=_of_metrics(task, raw, weights))
        check_prediction(name, "decode(raw)", kept.prediction, len(raw))
        return KeptBatch(kept, numbers, (total.detach(), count.detach()), weights is not None)

    def _add_loss(self, name: str, loss: tuple[Tensor, Tensor]) -> None:
        both = torch.stack([each.detach() for each in loss]).double()
        self._losses[name] = self._losses[name].add_(both) if name in self._losses else both

    def _hold(self, name: str, kept: Kept, numbers: Tensor | None = None) -> None:
        pending = self._pending[name]
        pending.append((kept, numbers))
        self._size[name] += kept.size
        self._loose[name] += 1
        if self._loose[name] == _TOGETHER:
            pending[-_TOGETHER:] = _together(pending[-_TOGETHER:])
            self._loose[name] = 0
        if self._adds_up[name] and self._size[name] >= _MOST:
            self._add_pending(name)

    def _add_joint(self, kept: Mapping[str, Kept]) -> None:
        """Add the rows of a batch that all tasks of a metric of several label."""
        for name, own in self.metrics.items():
            for metric in own.values():
                names = (name, *metric.others)
                if not metric.others or not kept.keys() >= set(names):
                    continue
                state = rows_right_together([(self.tasks[n], kept[n]) for n in names])
                key = name, metric.name
                self._joint[key] = merged(self._joint[key], state) if key in self._joint else state

    def _add_pending(self, name: str) -> Tally:
        """Add the labelled rows that were kept of a task, and forget them if its metrics add up."""
        tally = self._tallies[name] if self._adds_up[name] else self._tally(name)
        pending = self._pending[name]
        if pending:
            prediction, target, labelled, weights = Kept.joined(*zip(*pending, strict=True))
            if bool(labelled.any()):  # waits for the device
                own = None if weights is None else weights[labelled]
                tally.add(prediction.map(lambda values: values[labelled]), target[labelled], own)
        if self._adds_up[name]:
            self._pending[name], self._size[name], self._loose[name] = [], 0, 0
        return tally

    @torch.no_grad()
    def _compute(self, name: str) -> dict[str, float]:
        tally, loss = self._add_pending(name), self._loss(name)
        found = tally.scores()
        found |= {metric: s.score() for (task, metric), s in self._joint.items() if task == name}
        for metric, member in self.metrics[name].items():
            if member.of_loss is None:
                continue
            if name in self._weighed and not self.tasks[name].weighted_metrics:
                found[metric] = Score(nan, WEIGHED_LOSS)
            elif loss == loss:  # not NaN
                found[metric] = Score(member.of_loss(loss))
        for metric, score in found.items():
            self._note(f"{name}.{metric}", score.note)
        self._note(f"{name}.prediction", tally.constant_note())
        trivial = tally.trivial_scores()
        self.trivial[name] = {metric: score.value for metric, score in trivial.items()}
        values = {metric: score.value for metric, score in found.items()}
        return {**values, "loss": loss, "count": tally.rows}

    def _loss(self, name: str) -> float:
        total, count = self._losses.get(name, torch.zeros(2)).tolist()
        return total / count if count else nan

    def _note(self, key: str, note: str) -> None:
        self.notes.pop(key, None)
        if note:
            self.notes[key] = note


def _of_metrics(task: Task, rows: Tensor, weights: Tensor | None) -> Tensor | None:
    """Return how much each row (B, ...) counts in metrics: 1 without weights; None if all alike."""
    if not task.weighted_metrics:
        return None
    return torch.ones(len(rows), device=rows.device) if weights is None else weights


def _together(
    batches: Sequence[tuple[Kept, Tensor | None]],
) -> Sequence[tuple[Kept, Tensor | None]]:
    """Join batches into one, unless that would fill up sequences."""
    kept, numbers = zip(*batches, strict=True)
    if len({(each.prediction.value.shape[1:], each.target.shape[1:]) for each in kept}) > 1:
        return batches
    return [(Kept.joined(kept), None if numbers[0] is None else torch.cat(numbers))]
