"""The scheduler of a model's tasks, from a name or an object."""

from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.scheduling import Scheduler, create
from motet.training.choices import MemberChoice, name_and_options


def create_scheduler(choice: Scheduler | MemberChoice, model: MultiTaskModel) -> Scheduler:
    """Create the scheduler of a model's tasks.

    Returns:
        The scheduler; one that exists already as it is.

    Raises:
        InputError: If a name or option is unknown or wrong, or it is of other tasks.
    """
    names = [task.name for task in model.tasks if task.label_kind.given]
    if not isinstance(choice, Scheduler):
        name, options = name_and_options(choice)
        return create(name, names, **options)
    if set(choice.tasks) != set(names):
        raise InputError(
            f"found a scheduler of the tasks {', '.join(choice.tasks)}; expected those of the "
            f"model: {', '.join(names)}",
            option="scheduling",
        )
    return choice
