"""Calibration of a finished model on rows that did not train it: temperatures, and scores.

A temperature for each task with class probabilities, and for each task that can have intervals or
sets the scores of conformal prediction. Both are in ``learned.json``; the weights stay as they are.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from motet.analysis.calibration import best_temperature
from motet.data.batches import RowsOnce
from motet.data.targets.base import Target
from motet.figures import figure
from motet.model import MultiTaskModel
from motet.problems import InputError, owned
from motet.registry import METRICS
from motet.run.conformal_ways import WAYS, Scores, as_arrays, never_excluded
from motet.run.layout import columns, line
from motet.tasks import Prediction, Task
from motet.tasks.members import prediction_of
from motet.tasks.metric import ScoredRows
from motet.training.evaluation import evaluating

FEWEST = 50
"""Labelled rows for a temperature; of fewer it would be noise."""

_NOTES = {
    "validation": "intervals and sets were calibrated on the validation rows, which also chose the "
    "epoch: they may hold slightly less often than stated",
    "folds": "intervals and sets were calibrated on all rows, each predicted by the model that did "
    "not see it; the models together are usually more accurate, so they may hold more often",
}


@dataclass(frozen=True)
class Calibrated:
    """What was learned about one task."""

    rows: int
    """Labelled rows of the scores, or of the temperature where there are no scores."""
    temperature: float | None = None
    """None where the task has no probabilities, or too few rows have a label."""
    scores: Scores | None = None
    """None where the task can have no intervals or sets."""
    source: str = "given"
    """Which rows the scores are of: "validation", "calibration" or "test" ones of the run, "given"
    ones, or "folds", where each row was predicted by the model of several that did not see it."""
    tempers: bool = False
    """Whether the task can have a temperature."""
    before: tuple[float, float] = (nan, nan)
    """Log loss and calibration error without the temperature, of the rows it was fitted on."""
    after: tuple[float, float] = (nan, nan)
    """The same with it."""
    temperature_rows: int = 0
    """Labelled rows that the temperature was fitted on; 0 if it was read from a file."""


@dataclass(frozen=True)
class Calibration:
    """What was learned about the tasks of a model."""

    tasks: Mapping[str, Calibrated]

    def use(self, tasks: Iterable[Task]) -> None:
        """Let tasks predict with their temperatures."""
        for task in tasks:
            found = self.tasks.get(task.name)
            task.calibration_temperature = (found and found.temperature) or 1.0

    def intervals(
        self, level: float, task: Task, found: Prediction, target: Target
    ) -> dict[str, pa.Array]:
        """Return the columns of intervals or sets of a task that `with_intervals` returned."""
        scores = self.tasks[task.name].scores
        assert scores is not None
        return WAYS[task.label_kind.name].columns(scores, level, as_arrays(found), target)

    def with_others_of(self, earlier: "Calibration | None") -> "Calibration":
        """Return the same with the tasks that only an earlier calibration has."""
        return self if earlier is None else Calibration({**earlier.tasks, **self.tasks})

    def as_json(self) -> dict[str, Any]:
        """Return what `from_json` takes."""
        return {
            "tasks": {
                name: {
                    "rows": each.rows,
                    "source": each.source,
                    "temperature": each.temperature,
                    "scores": each.scores and [own.tolist() for own in each.scores.of_outputs],
                    "floors": list(each.scores.floors) if each.scores else [],
                }
                for name, each in self.tasks.items()
            },
        }

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> "Calibration":
        """Restore what `as_json` returned."""
        tasks = {}
        for name, each in content["tasks"].items():
            scores = each["scores"] and Scores(
                tuple(np.array(own, dtype=np.float64) for own in each["scores"]),
                tuple(map(float, each["floors"])),
            )
            temperature = None if each["temperature"] is None else float(each["temperature"])
            rows, source = int(each["rows"]), str(each["source"])
            tasks[name] = Calibrated(rows, temperature, scores or None, source)
        return Calibration(tasks)


def require_calibrated(
    tasks: Sequence[Task], *, named: bool = False, option: str = "tasks"
) -> None:
    """Check that a calibration would change what tasks predict.

    Args:
        tasks: The tasks.
        named: Whether the user named them, so that each must be changed, not only one.
        option: The option that a message is about.

    Raises:
        InputError: If not.
    """
    others = [task for task in tasks if task.label_kind.name not in WAYS]
    if others and (named or len(others) == len(tasks)):
        listed = ", ".join(f"{task.name} ({task.kind})" for task in others)
        raise InputError(
            "found tasks that predict neither numbers nor probabilities of classes, so that a "
            f"calibration changes nothing: {listed}; expected other tasks",
            option=option,
        )


@torch.inference_mode()
def calibrated(
    model: MultiTaskModel,
    rows: RowsOnce,
    scored: RowsOnce | None = None,
    *,
    batch_size: int,
    source: str = "given",
) -> Calibration:
    """Learn temperatures and scores, and let the model's tasks use the temperatures.

    Args:
        model: The trained model.
        rows: Rows that did not train it, for temperatures, and for scores unless ``scored``.
        scored: Rows for scores alone, which then are exact: nothing was fitted on them.
        batch_size: Rows per forward pass.
        source: Which rows the scores are of, see `Calibrated`.

    Returns:
        What was learned, for tasks with labels in the rows.
    """
    computed = _collected(model, rows, batch_size)
    found = {name: _fitted(model.tasks[name], *own) for name, own in computed.items()}
    if scored is not None:
        computed = _collected(model, scored, batch_size)
    for name, (raw, target) in computed.items():
        task = model.tasks[name]
        scores = _scores(task, prediction_of(task, raw), target)
        known = found.get(name, Calibrated(0))
        found[name] = replace(known, rows=len(target), scores=scores)
    return Calibration({name: replace(each, source=source) for name, each in found.items()})


@torch.inference_mode()
def calibrated_predictions(
    tasks: Sequence[Task],
    parts: Iterable[tuple[Mapping[str, Prediction], Mapping[str, Tensor], Mapping[str, Tensor]]],
    source: str = "given",
) -> Calibration:
    """Learn scores of predictions that several models make together, in parts.

    Args:
        tasks: The tasks.
        parts: Of some rows after the other, by task: predictions, encoded labels and weights.
        source: Which rows these are, see `Calibrated`.

    Returns:
        What was learned; no temperatures, which each model has of its own.
    """
    found: dict[str, list[tuple[Prediction, Tensor]]] = {}
    for predictions, targets, _ in parts:
        for task in tasks:
            if task.label_kind.name in WAYS and task.name in targets:
                own = found.setdefault(task.name, [])
                own.append((predictions[task.name], targets[task.name]))
    result = {}
    for task in tasks:
        if task.name in found:
            joined = Prediction.joined([each for each, _ in found[task.name]])
            target = torch.cat([each for _, each in found[task.name]])
            rows = int(task.judged(target).sum())
            if rows:
                scores = _scores(task, joined, target)
                result[task.name] = Calibrated(rows, scores=scores, source=source)
    return Calibration(result)


def joined_folds(folds: Sequence[Calibration]) -> Calibration:
    """Join the scores of all folds, for the models of all folds together.

    Each row is scored with the model that did not see it, as in cross-conformal prediction (Vovk,
    Annals of Mathematics and Artificial Intelligence 2015, arXiv:1208.0806). We differ in one
    point: the intervals are of the mean of the models, which is as accurate as one or better.

    Args:
        folds: What was learned on the test rows of each fold, of predictions without a spread.

    Returns:
        What was learned; no temperatures, which each model has of its own.
    """
    found = {}
    for name in dict.fromkeys(name for each in folds for name in each.tasks):
        own = [each.tasks[name] for each in folds if name in each.tasks]
        scores = Scores.joined([each.scores for each in own if each.scores])
        found[name] = Calibrated(sum(each.rows for each in own), scores=scores, source="folds")
    return Calibration(found)


def calibration_lines(found: Calibration, tasks: Sequence[Task]) -> Iterator[str]:
    """Report temperatures, with what they change on the rows that they were fitted on.

    Args:
        found: What was learned.
        tasks: The tasks that were to be calibrated.

    Yields:
        The lines.
    """
    without = [task.name for task in tasks if task.label_kind.name not in WAYS]
    fitted = {name: each for name, each in found.tasks.items() if each.temperature is not None}
    if fitted:
        rows: list[Sequence[str]] = [("task", "temperature", "rows", "log loss", "error")]
        for name, each in fitted.items():
            assert each.temperature is not None
            pairs = zip(each.before, each.after, strict=True)
            changes = [f"{figure(old)} -> {figure(new)}" for old, new in pairs]
            rows.append((name, figure(each.temperature), f"{each.temperature_rows:,}", *changes))
        sources = {each.source for each in fitted.values()}
        rows_of = {"given": "the rows given", "test": "test rows"}
        listed = {rows_of.get(source, "validation rows") for source in sources}
        yield line("calibrate", f"temperatures, fitted on {' and '.join(sorted(listed))}")
        yield from columns(rows, right=(1, 2))
    if without:
        yield line(
            "note",
            "no temperature, intervals or sets, as they predict neither numbers nor probabilities "
            f"of classes: {', '.join(without)}",
        )
    few = [name for name, each in found.tasks.items() if each.temperature is None and each.tempers]
    if few:
        yield line("note", f"too few rows for a temperature (at least {FEWEST}): {', '.join(few)}")


def with_intervals(
    calibration: Calibration | None, tasks: Sequence[Task], level: float, *, named: bool
) -> tuple[list[str], tuple[str, ...]]:
    """Return the tasks that get intervals or sets, and notes.

    Args:
        calibration: That of the run.
        tasks: The tasks to predict.
        level: The level.
        named: Whether the user named the tasks, so that each must have some.

    Raises:
        InputError: If the run is not calibrated for the level, or no task or not each one named
            can have intervals.
    """
    able = [task for task in tasks if task.label_kind.name in WAYS]
    others = [task for task in tasks if task.label_kind.name not in WAYS]
    if others and (named or not able):
        raise InputError(
            f"task {others[0].name!r} of kind {others[0].kind!r} has no intervals or sets; leave "
            "it out with tasks",
            option="intervals",
        )
    known = calibration.tasks if calibration else {}
    lacking = [task for task in able if task.name not in known or not known[task.name].scores]
    if calibration is None or (lacking and (named or len(lacking) == len(able))):
        raise InputError(
            f"the run is not calibrated for {', '.join(task.name for task in lacking)}; calibrate "
            "it on labelled rows that did not train it, with motet calibrate RUN DATA, or "
            "run.calibrate(rows) in Python; or train with training.calibrate: true",
            option="intervals",
        )
    notes = [
        f"task {task.name!r}: no intervals or sets, as "
        + ("it is not calibrated" if task in lacking else f"{task.kind} has none")
        for task in (*others, *lacking)
    ]
    found = [task for task in able if task not in lacking]
    for task in found:
        scores = known[task.name].scores
        assert scores is not None
        with owned(f"task {task.name!r}"):
            WAYS[task.label_kind.name].check(scores, level)
        kept = never_excluded(task.label_kind.name, scores, level, task.class_names or ())
        if kept:
            notes.append(
                f"task {task.name!r}: in every set, as too few rows of calibration have them: "
                f"{', '.join(kept)}"
            )
    sources = {known[task.name].source for task in found}
    notes += [note for source, note in _NOTES.items() if source in sources]
    return [task.name for task in found], tuple(notes)


def _collected(
    model: MultiTaskModel, rows: RowsOnce, size: int
) -> dict[str, tuple[Tensor, Tensor]]:
    """Compute raw outputs and labels of all rows that have one, on the CPU, in float64."""
    names = [
        name
        for name in model.labelled_tasks
        if name in rows.labelled and model.tasks[name].label_kind.name in WAYS
    ]
    found: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in names}
    with evaluating(model):
        for _, batch in rows.once(size):
            there = [name for name in names if batch.targets.get(name) is not None]
            for name, raw in (model(batch.inputs, there) if there else {}).items():
                target = batch.targets[name]
                assert target is not None
                known = model.tasks[name].judged(target)
                if known.any():
                    found[name].append((raw[known].double().cpu(), target[known].cpu()))
    return {
        name: (torch.cat([raw for raw, _ in own]), torch.cat([target for _, target in own]))
        for name, own in found.items()
        if own
    }


def _fitted(task: Task, raw: Tensor, target: Tensor) -> Calibrated:
    """Fit the temperature of a task, and let it use that."""
    if not task.tempers:
        return Calibrated(len(target))
    truth = task.restore(target)

    def measured(metric: str, temperature: float) -> float:
        task.calibration_temperature = temperature
        found = prediction_of(task, raw)
        return METRICS[metric](ScoredRows(found.value, found.probabilities, truth)).value  # type: ignore[no-any-return]  # of a table of any members

    def both(temperature: float) -> tuple[float, float]:
        error = measured("calibration_error", temperature)
        return measured("log_loss", temperature), error

    if len(target) < FEWEST:
        task.calibration_temperature = 1.0
        return Calibrated(len(target), tempers=True)
    before = both(1.0)
    temperature = best_temperature(lambda value: measured("log_loss", value))
    return Calibrated(
        len(target),
        temperature,
        tempers=True,
        before=before,
        after=both(temperature),
        temperature_rows=len(target),
    )


def _scores(task: Task, found: Prediction, target: Tensor) -> Scores | None:
    known = task.judged(target)
    own = as_arrays(found.map(lambda values: values[known]))
    return WAYS[task.label_kind.name].scores(own, task.restore(target)[known].numpy())
