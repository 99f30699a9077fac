"""The weights with which each task was best: predicting and evaluating every task with its own.

Costs a pass over the data for each set of weights, instead of one for all tasks.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from torch import Tensor

from motet.data.batches import RowsOnce
from motet.model import MultiTaskModel
from motet.problems import InputError, hint
from motet.tasks import Prediction
from motet.training.evaluation import Report, evaluate, known_tasks, predict, summed_up

Weights = Literal["best", "each"]
Kept = Mapping[str, Mapping[str, Tensor]]
"""For tasks by name, the state of the model at the evaluation at which the task was best."""


def predict_with(
    weights: Weights,
    kept: Kept,
    model: MultiTaskModel,
    data: RowsOnce,
    *,
    tasks: str | Iterable[str] | None = None,
    **options: Any,
) -> dict[str, Prediction]:
    """Predict every row, each task with its own weights if asked; see `predict`.

    Returns:
        Predictions by task, in the order of the tasks.
    """
    names = known_tasks(model, tasks)
    found: dict[str, Prediction] = {}
    for group in _by_weights(model, names, kept, weights):
        found |= predict(model, data, tasks=group, **options)
    return {name: found[name] for name in names}


def evaluate_with(
    weights: Weights,
    kept: Kept,
    model: MultiTaskModel,
    data: RowsOnce,
    *,
    tasks: str | Iterable[str] | None = None,
    **options: Any,
) -> Report:
    """Evaluate, each task with its own weights if asked; see `evaluate`.

    Returns:
        Metrics, losses and scores.
    """
    if weights == "best":
        return evaluate(model, data, tasks=tasks, **options)
    names = known_tasks(model, model.active_tasks if tasks is None else tasks)
    asked = [name for name in names if tasks is not None or name in data.labelled]
    joined = Report({})
    for group in _by_weights(model, asked, kept, weights):
        found = evaluate(model, data, tasks=group, **options)
        joined |= found.tasks
        for name in ("trivial", "scores", "notes"):
            getattr(joined, name).update(getattr(found, name))
    return summed_up(joined, [model.tasks[name] for name in asked if name in joined.scores])


def _by_weights(
    model: MultiTaskModel, tasks: Sequence[str], kept: Kept, weights: Weights
) -> Iterator[list[str]]:
    """Load the weights that tasks are predicted with; afterwards the model is as before.

    Args:
        model: The model.
        tasks: The tasks.
        kept: The weights of each.
        weights: Whether to use them, ``each`` task its own, or those of the model, the ``best``.

    Yields:
        Tasks that have the same weights, while these are in the model.

    Raises:
        InputError: If each task's weights are asked for, and none were kept.
    """
    if weights == "best":
        yield list(tasks)
        return
    if weights != "each":
        raise InputError(f"weights: found {weights!r}; {hint(str(weights), ('best', 'each'))}")
    if not kept:
        raise InputError(
            "weights: found 'each', but only the best weights were kept; train with keep: each"
        )
    groups: dict[int, list[str]] = {}
    for task in tasks:
        groups.setdefault(id(kept.get(task)), []).append(task)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    temperatures = {each: each.calibration_temperature for each in model.tasks}
    try:
        for each in temperatures:  # these are of the best weights
            each.calibration_temperature = 1.0
        for group in groups.values():
            model.load_state_dict(kept.get(group[0], before))
            yield group
    finally:
        model.load_state_dict(before)
        for each, temperature in temperatures.items():
            each.calibration_temperature = temperature
