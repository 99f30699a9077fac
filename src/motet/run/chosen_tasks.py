"""Which tasks of a finished run are predicted or evaluated."""

from collections.abc import Iterable

from motet.config import Config
from motet.model import MultiTaskModel
from motet.model.checks import names_of
from motet.problems import InputError, hint


def chosen_tasks(
    model: MultiTaskModel, config: Config, tasks: str | Iterable[str] | None
) -> list[str]:
    """Return the names of the tasks asked for; all enabled ones with labels if None.

    Raises:
        InputError: If there is none, or one is unknown, auxiliary, disabled, or was added to the
            model after the run.
    """
    enabled = model.labelled_tasks
    chosen = list(enabled if tasks is None else names_of(tasks))
    if tasks is not None and not chosen:
        raise InputError("found none; expected one or more tasks", option="tasks")
    for task in chosen:
        if task not in model.tasks.names:
            raise InputError(f"no task is named {task!r}; {hint(task, enabled)}")
        if not model.tasks[task].label_kind.given:
            raise InputError(
                f"task {task!r} is auxiliary, so it has neither labels nor predictions; leave "
                "it out"
            )
        if task not in enabled:
            raise InputError(
                f"task {task!r} is disabled and was not trained; leave it out, or train again "
                "with it enabled"
            )
        if task not in config.tasks:
            known = [name for name in enabled if name in config.tasks]
            raise InputError(
                f"task {task!r} was added to run.model after the run, which does not know its "
                "labels; predict it with motet.Trainer(run.model).predict(run.preprocess(data)"
                f", {task!r}), and the others with tasks={known}; to have it in a saved run, "
                "add it to the config and train"
            )
    return chosen
