"""Losses of tasks: sums and counts over labelled elements, and means of them."""

from collections.abc import Mapping

from torch import Tensor

from motet.host import on_host
from motet.model.checks import described
from motet.problems import InputError
from motet.sharing import ByTask
from motet.tasks import Task
from motet.tasks.members import loss_of, soft_loss_of
from motet.tasks.row_weights import require_weights_taken


def loss_terms(
    tasks: ByTask[Task],
    raw: Mapping[str, Tensor],
    targets: Mapping[str, Tensor | None],
    weights: Mapping[str, Tensor | None],
    soft: Mapping[str, Tensor | None],
    share: float,
) -> dict[str, tuple[Tensor, Tensor]]:
    """Compute the loss of each task that has targets; see `motet.MultiTaskModel.loss_terms`.

    Returns:
        ``{task: (sum, count)}``.

    Raises:
        InputError: If a task does not take weights, its labels are not valid, or its loss is no
            sum and count.
    """
    terms = {}
    for name, output in raw.items():
        if (target := targets.get(name)) is None:
            continue
        task, own = tasks[name], weights.get(name)
        if own is not None:
            require_weights_taken(task)
        if own is None and task.members is None:  # costs no call
            found = task.loss(output, target)
        else:
            found = loss_of(task, output, target, own)
        if share and (taught := soft.get(name)) is not None:
            learned = soft_loss_of(task, output, taught, target, own)
            found = (1 - share) * found[0] + share * learned, found[1]
        try:  # costs no call
            total, count = found
            _ = total.ndim, count.ndim
        except (TypeError, ValueError, AttributeError):
            raise InputError(_no_terms(task, found)) from None
        terms[name] = found
    return terms


def mean_losses(terms: Mapping[str, tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Divide sums by counts, without the tasks whose count is 0. Costs one device sync."""
    counts = on_host([count for _, count in terms.values()])
    return {
        task: total / count
        for (task, (total, count)), some in zip(terms.items(), counts, strict=True)
        if some
    }


def count_of(
    task: Task,
    targets: Mapping[str, Tensor | None],
    weights: Mapping[str, Tensor | None],
) -> Tensor | None:
    """Return what the loss of a task will be divided by (); None without a target."""
    target, own = targets.get(task.name), weights.get(task.name)
    if target is None:
        return None
    return task.count(target) if own is None else task.count(target, own)


def _no_terms(task: Task, found: object) -> str:
    """Say that the loss of a task returned something else than a sum and a count."""
    return (
        f"task {task.name!r}: loss(raw, target) of {type(task).__name__} returned "
        f"{described(found)}, expected (sum, count), two scalar tensors; for example "
        "return self.add_up(function, raw, target)"
    )
