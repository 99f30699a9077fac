"""Balancers: how the losses or gradients of several tasks become one update."""

from typing import Any

from motet.balancing.base import Balancer, LossBalancer
from motet.balancing.engine import BackwardResult, backward
from motet.balancing.equal import Equal
from motet.balancing.manual import Manual
from motet.balancing.uncertainty import Uncertainty
from motet.options import create as _create
from motet.registry import BALANCERS

__all__ = [
    "BackwardResult",
    "Balancer",
    "Equal",
    "LossBalancer",
    "Manual",
    "Uncertainty",
    "available",
    "backward",
    "create",
]


def create(name: str, tasks: Any, **options: Any) -> Balancer:
    """Build a balancer by name for the tasks named.

    Returns:
        The balancer, its state fresh.

    Raises:
        InputError: If the name or an option is unknown, or an option has a wrong value.
    """
    balancer: Balancer = _create(BALANCERS, name, tasks, **options)
    return balancer


def available() -> list[str]:
    """Return the names of all balancers."""
    return list(BALANCERS)
