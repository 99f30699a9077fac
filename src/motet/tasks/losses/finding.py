"""Losses by name, or as users give them."""

from collections.abc import Callable
from typing import Any, cast

from motet.problems import InputError, shown
from motet.registry import LOSSES


def find_loss(given: str | Callable[..., Any]) -> Callable[..., Any]:
    """Return the loss behind a name; a registered class is made into its instance.

    Raises:
        InputError: If the class cannot be made without arguments.
    """
    found = LOSSES[given] if isinstance(given, str) else given
    if not isinstance(found, type):
        return cast(Callable[..., Any], found)
    try:
        return cast(Callable[..., Any], found())
    except TypeError as error:
        raise InputError(
            f"loss {shown(given)}: {error}; expected a function (raw, target), or a class that is "
            "made without arguments"
        ) from error
