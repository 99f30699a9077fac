"""What the tasks of an earlier run lose in a run that starts from it, on its validation rows.

Tasks that the new run trains too are evaluated before and after training. Those that it does not
train are evaluated with their old heads, on the encoder before and after.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from motet.data.arrays import ArrayData
from motet.data.batches import RowsOnce
from motet.data.trees import take_rows
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.run.building import train_statistics
from motet.run.changes import Outcome
from motet.run.prepared import AnyPrepared, Prepared, starts_of
from motet.run.readers import batch_size_of
from motet.run.split_data import rows_of
from motet.run.starting_weights import load_shared
from motet.tasks.scores import Trivial, fit_trivial, statistics_of
from motet.training import Report, Trainer
from motet.training.evaluation import evaluate


class EarlierTasks:
    """Evaluates the tasks of the earlier run whose encoder was taken, before and after training.

    Args:
        prepared: The rows of the new run.
        trainer: Its trainer.
        inputs: What the encoder takes, for all rows of each source.
    """

    def __init__(
        self, prepared: AnyPrepared, trainer: Trainer, inputs: Mapping[str, dict[str, Any]]
    ) -> None:
        (self._start,) = (each for each in starts_of(prepared) if each.whole)
        self._old = self._start.run.model.to(trainer.device)
        self._prepared, self._inputs = prepared, inputs
        self._model, self._device = trainer.model, trainer.device
        self._size = min(map(batch_size_of, inputs.values()))
        taken = [name for name in self._start.tasks if name in self._model.labelled_tasks]
        self._rows: RowsOnce | None = None
        if taken and any(part.counts["validation"] for part in prepared.used.values()):
            self._rows = rows_of(prepared, inputs, "validation").to(self._device)
        labelled = frozenset[str]() if self._rows is None else self._rows.labelled
        self._taken = [name for name in taken if name in labelled]
        self._others = self._other_rows()

    def before(self) -> Outcome:
        """Evaluate the earlier run's model, which must be as it was loaded."""
        tasks = [self._model.tasks[name] for name in self._taken]
        trivial = fit_trivial(tasks, train_statistics(self._prepared, tasks))
        own = {task.name: task.metrics for task in tasks}
        return self._evaluated(self._old, trivial, own) | self._with_old_heads()

    def after(self, trivial: Trivial) -> Outcome:
        """Evaluate the new model, and the old heads of the tasks that it does not train on it.

        Args:
            trivial: Constant predictions of the new run.

        Returns:
            What was found.
        """
        load_shared(self._old, self._model, self._start.path)
        return self._evaluated(self._model, trivial, None) | self._with_old_heads()

    def _evaluated(
        self, model: MultiTaskModel, trivial: Trivial, metrics: Mapping[str, Any] | None
    ) -> Outcome:
        if self._rows is None or not self._taken:
            return {}
        report = evaluate(
            model,
            self._rows,
            batch_size=self._size,
            metrics=metrics,
            trivial=trivial,
            tasks=self._taken,
        )
        return _by_task(report, self._taken)

    def _with_old_heads(self) -> Outcome:
        if self._others is None:
            return {}
        rows, trivial = self._others
        names = list(rows.labelled)
        report = evaluate(self._old, rows, batch_size=self._size, trivial=trivial, tasks=names)
        return _by_task(report, names)

    def _other_rows(self) -> tuple[ArrayData, Trivial] | None:
        """Return the validation rows with the labels of tasks that the new run does not train.

        Rows in memory of one source alone: others have none, and nothing is evaluated.
        """
        prepared, old = self._prepared, self._start.run
        trained = self._model.labelled_tasks
        names = [name for name in old.model.labelled_tasks if name not in trained]
        if not isinstance(prepared, Prepared) or not names or not prepared.counts["validation"]:
            return None
        labels: dict[str, dict[str, Any]] = {"train": {}, "validation": {}}
        for name in names:
            with suppress(InputError):  # a column of this name may hold something else here
                found = {
                    split: old.reader.preprocessing.targets(prepared.table_of(split), only=[name])
                    for split in labels
                }
                for split, own in found.items():
                    labels[split] |= own
        tasks = [old.model.tasks[name] for name in labels["validation"]]
        statistics = {task.name: statistics_of(task, labels["train"][task.name]) for task in tasks}
        known = {name: each for name, each in statistics.items() if each is not None}
        tasks = [task for task in tasks if task.name in known]
        if not tasks:
            return None
        (inputs,) = self._inputs.values()
        rows = take_rows(inputs, prepared.rows.split.validation)
        own = {task.name: labels["validation"][task.name] for task in tasks}
        return ArrayData(rows, own).to(self._device), fit_trivial(tasks, known)


def _by_task(report: Report, tasks: list[str]) -> Outcome:
    return {
        name: {**report[name], "score": report.scores[name]} for name in tasks if name in report
    }
