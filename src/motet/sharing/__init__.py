"""Sharing schemes: which parameters tasks have in common."""

from typing import Any

from motet.options import create as _create
from motet.registry import SHARING
from motet.sharing.base import SharedModule, Sharing
from motet.sharing.hard import Hard

__all__ = ["Hard", "SharedModule", "Sharing", "available", "create"]


def create(name: str, **options: Any) -> Sharing:
    """Build the options of a sharing scheme by name.

    Returns:
        The scheme; its ``build`` makes the module.

    Raises:
        InputError: If the name or an option is unknown, or an option has a wrong value.
    """
    scheme: Sharing = _create(SHARING, name, **options)
    return scheme


def available() -> list[str]:
    """Return the names of all sharing schemes."""
    return list(SHARING)
