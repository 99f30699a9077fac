"""What the tasks of an earlier run lose in a run that starts from it, on its validation rows.

Tasks that the new run trains too are evaluated with its losses and metrics, with the weights before
and after training. Those that it does not train are evaluated with their old heads, on the encoder
before and after.
"""

from collections.abc import Mapping
from contextlib import suppress
from copy import deepcopy
from typing import Any

from motet.data.arrays import ArrayData
from motet.data.batches import Data, RowsOnce
from motet.data.trees import take_rows
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.run.changes import Outcome
from motet.run.prepared import AnyPrepared, Prepared, starts_of
from motet.run.readers import batch_size_of
from motet.run.split_data import rows_of
from motet.run.starting_weights import load_shared, load_weights
from motet.run.starts import Start
from motet.tasks.scores import Trivial, fit_trivial, statistics_of
from motet.training import Trainer
from motet.training.evaluation import evaluate


def before_and_after(
    prepared: AnyPrepared, trainer: Trainer, inputs: Mapping[str, dict[str, Any]]
) -> tuple[Outcome, Outcome]:
    """Evaluate the tasks of the earlier run whose encoder was taken.

    Args:
        prepared: The rows of the new run.
        trainer: Its trainer, at the end.
        inputs: What the encoder takes, for all rows of each source.

    Returns:
        What was found with the earlier weights, and with the new ones.
    """
    (start,) = (each for each in starts_of(prepared) if each.whole)
    size = min(map(batch_size_of, inputs.values()))
    before, after = Outcome(), Outcome()
    new, device = trainer.model, trainer.device
    if found := _taken_rows(prepared, start, new, inputs):
        rows, names = found
        first = deepcopy(new)  # losses and metrics are those of the new run, before training too
        load_weights(first, start)
        for model, into in ((first, before), (new, after)):
            into |= _evaluated(model, rows.to(device), names, size, trainer.trivial)
        del first
    if others := _other_rows(prepared, start, new, inputs):
        labelled, trivial = others
        names, labelled = list(labelled.labelled), labelled.to(device)
        old = start.run.model.to(device)
        before |= _evaluated(old, labelled, names, size, trivial)
        load_shared(old, new, start.path)
        after |= _evaluated(old, labelled, names, size, trivial)
    return before, after


def _evaluated(
    model: MultiTaskModel, rows: RowsOnce, tasks: list[str], size: int, trivial: Trivial
) -> Outcome:
    report = evaluate(model, rows, batch_size=size, trivial=trivial, tasks=tasks)
    return {
        name: {**report[name], "score": report.scores[name]} for name in tasks if name in report
    }


def _taken_rows(
    prepared: AnyPrepared, start: Start, new: MultiTaskModel, inputs: Mapping[str, dict[str, Any]]
) -> tuple[Data, list[str]] | None:
    """Return the validation rows, and the tasks whose heads were taken that have labels there."""
    taken = [name for name in start.tasks if name in new.labelled_tasks]
    if not taken or not any(part.counts["validation"] for part in prepared.used.values()):
        return None
    rows = rows_of(prepared, inputs, "validation")
    names = [name for name in taken if name in rows.labelled]
    return (rows, names) if names else None


def _other_rows(
    prepared: AnyPrepared, start: Start, new: MultiTaskModel, inputs: Mapping[str, dict[str, Any]]
) -> tuple[ArrayData, Trivial] | None:
    """Return the validation rows with the labels of tasks that the new run does not train.

    Rows in memory of one source alone: others have none, and nothing is evaluated.
    """
    old, trained = start.run, new.labelled_tasks
    heads = [name for name in old.model.labelled_tasks if name in old.model.active_tasks]
    names = [name for name in heads if name not in trained]
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
    (own_inputs,) = inputs.values()
    rows = take_rows(own_inputs, prepared.rows.split.validation)
    own = {task.name: labels["validation"][task.name] for task in tasks}
    return ArrayData(rows, own), fit_trivial(tasks, known)
