"""The balancer of a model's tasks, from a name or an object."""

import warnings

from motet.balancing import Balancer, create
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.training.choices import MemberChoice, name_and_options


def create_balancer(choice: Balancer | MemberChoice, model: MultiTaskModel) -> Balancer:
    """Create the balancer of a model's tasks, with the options that it reads from them.

    Returns:
        The balancer; one that exists already as it is.

    Raises:
        InputError: If it does not fit the tasks.
    """
    tasks = [task for task in model.tasks if task.balanced]
    names = [task.name for task in tasks]
    if not names:
        raise InputError(
            "tasks: found only auxiliary tasks that are added after balancing; expected a task "
            "with labels, or an auxiliary task with balanced: true"
        )
    if isinstance(choice, Balancer):
        balancer = choice
        if set(balancer.tasks) != set(names):
            raise InputError(
                f"the balancer has the tasks {', '.join(balancer.tasks)}, "
                f"expected those of the model: {', '.join(names)}"
            )
    else:
        name, options = name_and_options(choice)
        balancer = create(name, tasks, **options)
    _warn_if_nothing_is_shared(balancer, model)
    return balancer


def _warn_if_nothing_is_shared(balancer: Balancer, model: MultiTaskModel) -> None:
    if not balancer.needs.gradients or len(model.tasks.names) == 1:
        return
    if not model.shared_parameters():
        warnings.warn(
            f"the tasks share no parameter, so {type(balancer).__name__} has nothing to balance: "
            "each task follows its own gradient; choose balancing: equal, which costs less",
            stacklevel=4,
        )
