"""The rows and targets that an auxiliary task makes of a batch."""

import torch
from torch import Tensor

from motet.data.batches import Batch
from motet.problems import InputError, with_article
from motet.seeds import derive
from motet.tasks import Auxiliary, Task


def view_of(task: Task, rows: Batch, *, seed: int, step: int, device: torch.device | str) -> Batch:
    """Make the batch of an auxiliary task.

    Args:
        task: An auxiliary task.
        rows: The rows as the data have them.
        seed: With the task's name, the source of the rows and ``step`` determines what is drawn.
        step: Number of the step or batch.
        device: Device of the inputs.

    Returns:
        The rows and their target.

    Raises:
        InputError: If the task's ``view`` returns something else.
    """
    assert isinstance(task, Auxiliary)
    value = derive(seed, "/".join(filter(None, ("view", task.name, rows.source))), step)
    generator = torch.Generator(device).manual_seed(value)
    with torch.no_grad():
        made = task.view(rows.inputs, generator)
    if not (isinstance(made, tuple) and len(made) == 2 and isinstance(made[1], Tensor)):
        raise InputError(
            f"view of {type(task).__name__}: found {with_article(type(made).__name__)}; expected "
            "(inputs, target), where target is a tensor"
        )
    batch = Batch(made[0], {task.name: made[1]})
    return batch.tensors(f"view of {type(task).__name__}", lacking=True)
