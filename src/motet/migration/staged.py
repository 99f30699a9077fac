"""Add tasks to a trained model in stages, and report what each changes for the tasks it had."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan
from typing import Any, Literal

from torch import Tensor

from motet.data.batches import Data
from motet.data.loaders import LoaderData, as_data
from motet.figures import counted
from motet.model import MultiTaskModel
from motet.model.checks import task_names
from motet.options import require_options
from motet.problems import InputError
from motet.states import join_rows
from motet.tasks import Task
from motet.tasks.scores import Trivial, fit_trivial
from motet.training import Trainer
from motet.training.errors import Interrupted
from motet.training.evaluation import Report, evaluate, evaluating
from motet.training.intake import statistics_of, take_data
from motet.training.observers import Observed, Observer
from motet.training.records import EvaluationRecord


@dataclass(frozen=True)
class Stage:
    """A part of the training after which it is reported what changed."""

    train: Literal["new", "all"]
    """``new``: all that the model had is frozen and computes as in evaluation, so that its old
    tasks predict the same, bit for bit; only what belongs to the new tasks is trained. ``all``:
    all tasks train together, on rows of which some have labels of the old ones."""
    epochs: int
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of `motet.Trainer` for this stage, in place of those for all."""

    def __post_init__(self) -> None:
        if self.train not in ("new", "all"):
            raise InputError(f"found {self.train!r}; expected new or all", option="train")


_ROWS = 512
"""Rows per batch of an evaluation."""
NEW_THEN_ALL = (Stage("new", 5), Stage("all", 10))


@dataclass(frozen=True)
class StageReport:
    """What a stage changed, on the validation rows."""

    stage: Stage
    before: Report
    """Metrics and ``scores`` of the old tasks before it."""
    after: Report
    """Those of all tasks after it."""
    changed: Mapping[str, float]
    """Largest change of a raw output of each old task; 0 if all are bit-identical."""
    stopped: str | None
    """Why the stage ended early, with the last weights that kept the bound; None if it did not."""

    def lines(self) -> list[str]:
        """Return the report in lines of text."""
        found = [f"{self.stage.train}: {counted(self.stage.epochs, 'epoch')}"]
        for task, score in self.after.scores.items():
            old = self.before.scores.get(task)
            change = "" if old is None else f" ({score - old:+.4f})"
            same = ", outputs bit-identical" if self.changed.get(task) == 0 else ""
            found.append(f"  {task}: score {score:.4f}{change}{same}")
        return found + ([f"  stopped: {self.stopped}"] if self.stopped else [])


def add_tasks(
    model: MultiTaskModel,
    tasks: Sequence[Task],
    rows: Any,
    validation: Any,
    *,
    stages: Sequence[Stage] = NEW_THEN_ALL,
    bound: float = 0.01,
    **options: Any,
) -> list[StageReport]:
    """Add tasks to a trained model in stages, as long as the tasks that it had stay good.

    The new tasks' heads are trained first, with all else frozen; then all together. Before and
    after each stage the old tasks are evaluated. A stage that makes the score of one worse by more
    than ``bound`` ends at the last evaluation that did not, and no other follows.

    Args:
        model: The model; trained in place, and left in evaluation mode.
        tasks: What it is to learn in addition.
        rows: Training rows, as `motet.Trainer.fit` takes them.
        validation: Validation rows, with labels of the old tasks too. Batches of a DataLoader are
            read once and kept in memory, so that all comparisons are on the same rows.
        stages: What is trained, and for how long.
        bound: By how much the score of an old task may fall in all: 0 is a constant prediction, 1 a
            perfect one.
        **options: Of `motet.Trainer`, such as ``balancer``, ``learning_rate`` and ``batch_size``.

    Returns:
        A report of each stage that was begun.

    Raises:
        InputError: If a name is not new, labels are missing, or `motet.Trainer` has no such option;
            nothing is added then.
    """
    for given in (options, *(stage.options for stage in stages)):
        require_options(Trainer, given)
    old, new = list(model.labelled_tasks), [task.name for task in tasks]
    labelled = [task.name for task in tasks if task.label_kind.given]
    task_names([*model.tasks, *tasks])
    rows = as_data(rows, "the training data")
    validation = as_data(validation, "the validation data")
    if isinstance(validation, LoaderData):
        validation = validation.kept()  # it may shuffle, and before and after are compared by row
    _require_labels(validation, "the validation data", [*old, *labelled])
    trained = old if any(stage.train == "all" for stage in stages) else []
    _require_labels(rows, "the training data", [*trained, *labelled])
    for task in tasks:
        model.add_task(task)
    valid = take_data(validation, "the validation data", model, next(model.parameters()).device)
    watch = _Watch(model, valid, old, bound)
    reports: list[StageReport] = []
    for stage in stages:
        reports.append(_carry_out(stage, new, rows, valid, watch, options))
        if reports[-1].stopped:
            break
    model.eval()
    return reports


def _require_labels(data: Data, what: str, tasks: Sequence[str]) -> None:
    missing = [task for task in tasks if task not in data.labelled]
    if missing:
        raise InputError(
            f"{what} have no labels of {', '.join(missing)}; expected labels of new tasks, and of "
            "those that the model had in the validation data and where all train"
        )


class _Watch(Observer):
    """Evaluates the old tasks, and stops training where one is worse than the bound."""

    def __init__(
        self, model: MultiTaskModel, valid: Data, old: Sequence[str], bound: float
    ) -> None:
        self.model, self.valid, self.old, self.bound = model, valid, old, bound
        self.trivial: Trivial = fit_trivial(model.tasks, statistics_of(model.tasks, valid))
        self.first = self.report(old).scores
        self.stopped: str | None = None
        self.keep()

    def keep(self) -> None:
        """Keep the weights as they are."""
        self.kept = copy.deepcopy(self.model.state_dict())

    def report(self, tasks: Sequence[str]) -> Report:
        """Evaluate some tasks."""
        return evaluate(self.model, self.valid, batch_size=_ROWS, trivial=self.trivial, tasks=tasks)

    def on_evaluation(self, trainer: Observed, record: EvaluationRecord) -> None:
        self.check(f"in epoch {record.epoch}")
        if self.stopped:
            trainer.stop_requested = True
        else:
            self.keep()

    def check(self, when: str) -> None:
        """Note the first old task that is worse than the bound, if one is."""
        for task, score in self.report(self.old).scores.items():
            if isnan(self.first[task]):
                self.stopped = (
                    f"the validation data give no score of {task}, so whether it falls is "
                    "unknown; expected rows whose labels differ, and a metric that scores"
                )
                return
            if not score >= self.first[task] - self.bound:
                self.stopped = (
                    f"the score of {task} fell from {self.first[task]:.4f} to {score:.4f} {when}, "
                    f"more than {self.bound}"
                )
                return

    def outputs(self) -> dict[str, Tensor]:
        """Compute the raw outputs of the old tasks."""
        found: dict[str, list[Tensor]] = {task: [] for task in self.old}
        with evaluating(self.model):
            for _, batch in self.valid.once(_ROWS):
                for task, raw in self.model(batch.inputs, self.old).items():
                    found[task].append(raw)
        return {task: join_rows(each) for task, each in found.items()}


def _carry_out(
    stage: Stage,
    new: Sequence[str],
    rows: Any,
    valid: Data,
    watch: _Watch,
    options: Mapping[str, Any],
) -> StageReport:
    model, alone = watch.model, stage.train == "new"
    before, outputs = watch.report(watch.old), watch.outputs()
    had = _parameters_but(model, new) if alone else []
    frozen, held = set(model.frozen), set(model.held)
    others = [task for task in model.active_tasks if task not in new] if alone else []
    model.freeze(*had, evaluation=True)
    for task in others:
        model.disable_task(task)
    watch.keep()
    given = {**options, **stage.options}
    trainer = Trainer(model, **{**given, "observers": [*given.get("observers", ()), watch]})
    try:
        trainer.fit(rows, valid, epochs=stage.epochs)
        if watch.stopped is None:
            watch.check("at the end")  # the best or averaged weights
    except Interrupted:
        if watch.stopped is None:
            raise
    finally:
        for task in others:
            model.enable_task(task)
        model.unfreeze(*(name for name in had if name not in frozen))
        model.freeze(*(name for name in had if name in frozen - held))
    if watch.stopped:
        model.load_state_dict(watch.kept)
    after = watch.report(model.labelled_tasks)
    changed = {
        task: float((now - outputs[task]).abs().nan_to_num().max())
        for task, now in watch.outputs().items()
    }
    return StageReport(stage, before, after, changed, watch.stopped)


def _parameters_but(model: MultiTaskModel, new: Sequence[str]) -> list[str]:
    """Return the names of the parameters that do not belong to the new tasks alone."""
    own = {id(p) for task in new for p in model.task_parameters(task)}
    return [name for name, p in model.named_parameters() if id(p) not in own]
