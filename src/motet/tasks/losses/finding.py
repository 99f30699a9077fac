"""Losses by name, or as users give them."""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

from motet.problems import InputError, shown
from motet.registry import LOSSES

CLASS_LOSSES = ("cross_entropy", "focal")
NUMBER_LOSSES = ("mse", "mae", "huber", "log_cosh")


def find_class_loss(
    given: str | Callable[..., Any], label_smoothing: float | None, gamma: float | None
) -> Callable[..., Any]:
    """Return the loss of classes behind a name, with the options that it takes."""
    found = find_loss(given)
    if given == "cross_entropy":
        return partial(found, label_smoothing=label_smoothing or 0.0)
    return partial(found, gamma=2.0 if gamma is None else gamma) if given == "focal" else found


def find_number_loss(given: str | Callable[..., Any], delta: float | None) -> Callable[..., Any]:
    """Return the loss of numbers behind a name, with the option that huber takes."""
    found = find_loss(given)
    return partial(found, delta=delta or 1.0) if given == "huber" else found


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
