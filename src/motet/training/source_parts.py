"""The parts of a step whose rows come from several sources."""

from collections.abc import Sequence
from typing import Any

from motet.data.batches import Batch, Draw
from motet.data.joining import Rows, joined
from motet.model import MultiTaskModel
from motet.tasks import Auxiliary, Task


def drawn_for(
    rows: Batch | Draw, labelled: Sequence[str], auxiliary: Sequence[Task]
) -> Sequence[Batch]:
    """Return the batches of a step.

    Args:
        rows: One batch, or what draws one of each source.
        labelled: The tasks with labels that train.
        auxiliary: The auxiliary tasks that train; they draw from the sources that they name, or
            from all that have the inputs that they read.
    """
    if isinstance(rows, Batch):
        return (rows,)
    also = {
        name
        for task in auxiliary
        for name in task.sources or rows.sources
        if _applies(task, rows.lacking(name))
    }
    return rows.of(labelled, also)


def passes_of(
    rows: Batch | Draw, drawn: Sequence[Batch], labelled: Sequence[str], *, join: bool
) -> list[tuple[Batch, Sequence[str], Rows | None]]:
    """Return the forward passes of tasks with labels: the batch, the tasks, and the rows of each.

    Batches whose inputs have the same shapes share one pass, in which each task has the rows of its
    sources; otherwise each batch has its own, of the tasks that have targets in it.

    Args:
        rows: Where the batches are from.
        drawn: The batches.
        labelled: The tasks.
        join: Whether batches may share a pass.
    """
    if isinstance(rows, Batch):
        return [(rows, labelled, None)] if labelled else []
    passes: list[tuple[Batch, Sequence[str], Rows | None]] = []
    for batch in drawn:
        own = [task for task in labelled if batch.targets.get(task) is not None]
        if own:
            passes.append((batch, own, None))
    if not (join and rows.joinable) or len(passes) < 2:
        return passes
    batch, places = joined([batch for batch, *_ in passes])
    return [(batch, [task for task in labelled if task in places], places)]


def can_join(model: MultiTaskModel) -> bool:
    """Return whether tasks can have different rows of a pass: heads read a state per row alone."""
    return all(
        task.reads_state == "rows" and not task.reads_tasks and not model.takes_target(task.name)
        for task in model.tasks
    )


def batches_of(task: Task, drawn: Sequence[Batch]) -> list[Batch]:
    """Return the batches that an auxiliary task makes views of."""
    return [
        batch
        for batch in drawn
        if (not task.sources or batch.source in task.sources) and _applies(task, batch.inputs)
    ]


def _applies(task: Task, inputs: Any) -> bool:
    return isinstance(task, Auxiliary) and task.applies(inputs)
