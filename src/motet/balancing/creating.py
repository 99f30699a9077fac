"""Builds a balancer from a name, tasks and options."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from motet.balancing.families import Balancer, KnownTask
from motet.options import create as create_member
from motet.problems import InputError, shown, with_article
from motet.registry import BALANCERS


def create(name: str, tasks: Iterable[str] | Iterable[KnownTask], **options: Any) -> Balancer:
    """Build a balancer by name.

    Args:
        name: One of `available`, or of those registered.
        tasks: The tasks, such as ``model.tasks``, or their names alone. From tasks come their
            weights, those of epoch 1 where they change, and options that the balancer reads from
            them and ``options`` does not give, such as the ``kinds`` of "uncertainty". With names
            alone, every weight is 1 until `Balancer.set_weight` sets another.
        **options: Options of the balancer.

    Returns:
        The balancer, its state fresh.

    Raises:
        InputError: If ``tasks`` are neither; if the name or an option is unknown, an option has a
            wrong value, or the balancer would undo a task's weight; or if what a user registered
            under the name does not make a balancer.
    """
    member = BALANCERS[name]
    if isinstance(member, Balancer):
        raise InputError(f"{name!r} is registered as an instance of a balancer; register its class")
    names, known = _names_and_tasks(tasks)
    if known and isinstance(member, type) and issubclass(member, Balancer):  # else a function
        options = dict(member.filled_in(options, known))
    balancer = create_member(BALANCERS, name, names, **options)
    if not isinstance(balancer, Balancer):
        raise InputError(
            f"what is registered as {name!r} made {with_article(type(balancer).__name__)}, "
            "expected a balancer: register a subclass of LossBalancer, GramianBalancer or "
            "JacobianBalancer"
        )
    for task in known:
        balancer.take_weight(task.name, task.weight_at(1))
    return balancer


def available() -> list[str]:
    """Return the names of all balancers."""
    return list(BALANCERS)


def _names_and_tasks(tasks: Any) -> tuple[list[str], list[KnownTask]]:
    """Return the names of tasks, and the tasks unless names were given."""
    if isinstance(tasks, (str, Mapping, Iterator)) or not isinstance(tasks, Iterable):
        found = with_article(type(tasks).__name__)
        raise _refusal(shown(tasks) if isinstance(tasks, (str, int)) else found)
    known = [task for task in tasks if isinstance(task, KnownTask)]
    names = [task for task in tasks if isinstance(task, str)]
    if len(names) < (count := len(list(tasks))) and len(known) < count:
        raise _refusal(str(list(tasks)))
    return names or [task.name for task in known], known


def _refusal(found: str) -> InputError:
    message = f"found {found}, expected one or more names, or tasks, such as model.tasks"
    return InputError(message, option="tasks")
