"""The parts of a step whose rows come from several sources."""

from collections.abc import Sequence
from typing import Any

import torch

from motet.data.batches import Batch, Draw
from motet.data.joining import joined
from motet.states import MISSING
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
    rows: Batch | Draw, drawn: Sequence[Batch], labelled: Sequence[str], numbers: Sequence[str]
) -> list[tuple[Batch, Sequence[str]]]:
    """Return the forward passes of tasks with labels: the rows, and the tasks.

    Batches whose inputs have the same shapes share one pass, in which labels of other sources are
    missing; otherwise each batch has its own, of the tasks that have targets in it.

    Args:
        rows: Where the batches are from.
        drawn: The batches.
        labelled: The tasks.
        numbers: See `motet.data.joining.joined`.
    """
    if isinstance(rows, Batch):
        return [(rows, labelled)] if labelled else []
    passes: list[tuple[Batch, Sequence[str]]] = []
    for batch in drawn:
        own = [task for task in labelled if batch.targets.get(task) is not None]
        if own:
            passes.append((batch, own))
    if not rows.joinable or len(passes) < 2:
        return passes
    tasks = [task for task in labelled if any(task in own for _, own in passes)]
    return [(joined([batch for batch, _ in passes], numbers), tasks)]


def batches_of(task: Task, drawn: Sequence[Batch]) -> list[Batch]:
    """Return the batches that an auxiliary task makes views of."""
    return [
        batch
        for batch in drawn
        if (not task.sources or batch.source in task.sources) and _applies(task, batch.inputs)
    ]


def _applies(task: Task, inputs: Any) -> bool:
    return isinstance(task, Auxiliary) and task.applies(inputs)


def reads_any_number(task: Task) -> bool:
    """Return whether -100 is a label like any other, so that only NaN is missing."""
    return bool(task.label_kind.present(torch.tensor([MISSING])).any())
