"""What tasks are compared by on held-out rows: errors of predictions, and representations."""

from collections.abc import Sequence

import torch
from torch import Tensor

from motet.data.batches import Batch, RowsOnce
from motet.model import MultiTaskModel
from motet.processes import ALONE, Processes
from motet.tasks import Task
from motet.tasks.members import kept_of
from motet.training.evaluation import evaluated_in_turns, evaluating


def row_scores(
    model: MultiTaskModel,
    data: RowsOnce,
    *,
    batch_size: int,
    tasks: Sequence[str],
    processes: Processes = ALONE,
) -> dict[str, Tensor]:
    """Compute how well each task predicts each row; see `LabelKind.row_scores`.

    Several processes compute the batches in turns, and all get all rows.

    Args:
        model: The model.
        data: Rows with targets.
        batch_size: Rows per forward pass.
        tasks: Which tasks.
        processes: The processes.

    Returns:
        By task (N,) float64, on the CPU, rows in the same order for all; NaN without a label.
    """

    def computed(_: int, given: tuple[Tensor | None, Batch]) -> dict[str, Tensor]:
        batch = given[1]
        there = [name for name in tasks if batch.targets.get(name) is not None]
        raw = model.evaluated(batch.inputs, there, batch.targets)[1] if there else {}
        found = {name: _scores_of(model.tasks[name], raw[name], batch) for name in there}
        unknown = torch.full((len(batch),), torch.nan, dtype=torch.float64)
        return {name: found.get(name, unknown) for name in tasks}

    with evaluating(model):
        parts = list(evaluated_in_turns(processes, data, batch_size, computed, torch.device("cpu")))
    return {name: torch.cat([part[name] for part in parts]) for name in tasks if parts}


def _scores_of(task: Task, raw: Tensor, batch: Batch) -> Tensor:
    target, weights = batch.targets[task.name], batch.weights.get(task.name)
    assert target is not None
    kept = kept_of(task, raw, target)
    found = task.label_kind.row_scores(kept.prediction.value, kept.target)
    if found is None:
        return torch.full((len(target),), torch.nan, dtype=torch.float64)
    counts = kept.labelled if weights is None else kept.labelled & (weights > 0)
    return found.where(counts, torch.nan).double().cpu()


def own_states(
    model: MultiTaskModel,
    data: RowsOnce,
    *,
    batch_size: int,
    tasks: Sequence[str],
    most: int,
    processes: Processes = ALONE,
) -> dict[str, Tensor]:
    """Compute the representation that each task has of the same rows.

    Several processes compute the batches in turns, and all get all rows.

    Args:
        model: The model.
        data: Rows.
        batch_size: Rows per forward pass.
        tasks: Which tasks.
        most: Of more than twice as many rows, every so-many-th is kept, at least so many.
        processes: The processes.

    Returns:
        By task (N, D), on the CPU, rows in the same order for all.
    """

    def computed(_: int, given: tuple[Tensor | None, Batch]) -> dict[str, Tensor]:
        inputs = given[1].inputs
        return {t: model.represent(inputs, [t]).flatten(1).float().cpu() for t in tasks}

    found: dict[str, Tensor] = {}
    seen, stride = 0, 1
    with evaluating(model):
        for part in evaluated_in_turns(processes, data, batch_size, computed, torch.device("cpu")):
            count = len(next(iter(part.values())))
            own = {task: each[-seen % stride :: stride] for task, each in part.items()}
            found = {t: torch.cat([found[t], each]) if found else each for t, each in own.items()}
            seen += count
            while len(next(iter(found.values()))) > 2 * most:
                found, stride = {t: each[::2] for t, each in found.items()}, 2 * stride
    return found
