"""Which ways of going back a balancer can use; the others are refused with the reason."""

from motet.balancing.families import Balancer
from motet.problems import InputError, shown

_ALLOWED = {
    "at": ("parameters", "representation"),
    "heads": ("plain", "weighted"),
    "memory": ("normal", "low"),
    "gramian": ("auto", "rows", "layers"),
}


def check_pass(
    balancer: Balancer,
    *,
    at: str = "parameters",
    heads: str = "plain",
    memory: str = "normal",
    gramian: str = "auto",
) -> None:
    """Check options of `motet.backward` before there are losses, as a run does.

    Raises:
        InputError: If a value is unknown, or the balancer makes no use of the option.
    """
    name = type(balancer).__name__
    if not isinstance(balancer, Balancer) or not hasattr(balancer, "reads"):
        raise InputError(no_balancer(balancer))
    needs = balancer.needs
    given = {"at": at, "heads": heads, "memory": memory, "gramian": gramian}
    for option, value in given.items():
        if value not in _ALLOWED[option]:
            expected = " or ".join(map(repr, _ALLOWED[option]))
            raise InputError(f"{option} is {value!r}, expected {expected}")
    if at == "representation" and needs.reads == "losses":
        raise InputError(f'{name} reads only losses; at="representation" would not change it')
    if at == "representation" and needs.columns_stay:
        raise InputError(
            f"{name} remembers gradients from step to step; those at a representation are of other "
            'rows of data each time. Use at="parameters"'
        )
    if heads == "weighted" and needs.reads == "losses":
        raise InputError(
            f"{name} weighs the losses, so heads are weighted in any case; remove heads"
        )
    if heads == "weighted" and not needs.gives_weights:
        raise InputError(f'{name} gives no task weights, so heads="weighted" cannot be had')
    if memory == "low" and needs.reads != "gramian":
        raise InputError(f'memory="low" is for Gramian balancers; {name} is none')
    if memory == "low" and at == "representation":
        raise InputError(
            'at="representation" has no buffer of task gradients, so memory="low" would save '
            "nothing; remove it"
        )
    if gramian != "auto" and needs.reads != "gramian":
        raise InputError(f'gramian="{gramian}" is for Gramian balancers; {name} is none')
    if gramian != "auto" and at == "representation":
        raise InputError(
            f'at="representation" goes back through no layer, so gramian="{gramian}" would change '
            "nothing; remove it"
        )
    if gramian == "layers" and memory == "low":
        raise InputError(
            'memory="low" reads rows piece by piece and gramian="layers" no rows; remove one'
        )


def no_balancer(found: object) -> str:
    """Describe an argument that is none of the three kinds of balancer."""
    return f"balancer is {shown(found)}, expected a motet balancer"
