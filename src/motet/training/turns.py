"""Tasks that take turns, as the sharing scheme decides: which train when."""

import math

from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.training.state import Progress


def check_epochs(model: MultiTaskModel, epochs: int) -> None:
    """Check that every enabled task trains in some epoch.

    Raises:
        InputError: If one does not.
    """
    tasks, turns = model.active_tasks, model.sharing.trained_at
    trained = {task for epoch in range(1, epochs + 1) for task in turns(epoch, tasks)}
    left = [task for task in tasks if task not in trained]
    if left and epochs:
        raise InputError(
            f"epochs is {epochs}, but columns take turns, and {', '.join(left)} would not be "
            "trained; give more epochs, or fewer to each column"
        )


def last_to_train(model: MultiTaskModel, progress: Progress) -> set[str]:
    """Return the tasks that train now; none as long as others have their turn after them.

    Until then, the best weights so far would lack what later turns train.
    """
    epoch = progress.epoch + (progress.batch > 0)
    trained, last = (model.sharing.trained_at(at, model.active_tasks) for at in (epoch, math.inf))
    return set(trained) if trained == last else set()
