"""Which ways of going back a balancer can use; the others are refused with the reason."""

from motet.balancing.families import Balancer, GramianBalancer, JacobianBalancer, LossBalancer
from motet.problems import InputError

_ALLOWED = {
    "at": ("parameters", "representation"),
    "heads": ("plain", "weighted"),
    "memory": ("normal", "low"),
}


def check_pass(
    balancer: Balancer, *, at: str = "parameters", heads: str = "plain", memory: str = "normal"
) -> None:
    """Check options of `motet.backward` before there are losses, as a run does.

    Raises:
        InputError: If a value is unknown, or the balancer makes no use of the option.
    """
    name = type(balancer).__name__
    if not isinstance(balancer, (LossBalancer, GramianBalancer, JacobianBalancer)):
        raise InputError(f"balancer is {balancer!r}, expected a motet balancer")
    for option, value in (("at", at), ("heads", heads), ("memory", memory)):
        if value not in _ALLOWED[option]:
            expected = " or ".join(map(repr, _ALLOWED[option]))
            raise InputError(f"{option} is {value!r}, expected {expected}")
    if at == "representation" and isinstance(balancer, LossBalancer):
        raise InputError(f'{name} reads only losses; at="representation" would not change it')
    jacobian = isinstance(balancer, JacobianBalancer)
    if at == "representation" and jacobian and balancer.column_state:
        raise InputError(
            f"{name} remembers gradients from step to step; those at a representation are of other "
            'rows of data each time. Use at="parameters"'
        )
    if heads == "weighted" and jacobian and not balancer.combines:
        raise InputError(f'{name} gives no task weights, so heads="weighted" cannot be had')
    if memory == "low" and not isinstance(balancer, GramianBalancer):
        raise InputError(f'memory="low" is for Gramian balancers; {name} is none')
    if memory == "low" and at == "representation":
        raise InputError(
            'at="representation" has no buffer of task gradients, so memory="low" would save '
            "nothing; remove it"
        )
