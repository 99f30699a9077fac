"""Fusion: from the features of several encoders to one representation."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from motet.encoders.fusion.base import Fusion
from motet.encoders.fusion.concat import Concat
from motet.options import create as _create
from motet.problems import InputError
from motet.registry import FUSIONS

__all__ = ["Concat", "Fusion", "available", "create"]


def create(
    given: str | Mapping[str, Any] | Callable[[Sequence[int]], Fusion], widths: Sequence[int]
) -> Fusion:
    """Build a fusion for features of some widths.

    Args:
        given: A name of ``available()``, ``{"type": name, option: value}``, or what makes a fusion
            from the widths, such as a class.
        widths: The width of each encoder's features.

    Returns:
        The fusion.

    Raises:
        InputError: If the name or an option is unknown, an option has a wrong value, or what was
            made is no fusion with a width.
    """
    if isinstance(given, str | Mapping):
        options = {"type": given} if isinstance(given, str) else dict(given)
        fusion = _create(FUSIONS, options.pop("type"), widths, **options)
    else:
        fusion = given(widths)
    return _checked(fusion)


def _checked(fusion: Any) -> Fusion:
    """Check what a class or function of a user's own made."""
    if not isinstance(fusion, Fusion):
        raise InputError(
            f"found {type(fusion).__name__}; expected a fusion, a subclass of "
            "motet.encoders.Fusion, for these widths"
        )
    if not isinstance(getattr(fusion, "width", None), int):
        raise InputError(
            f"{type(fusion).__name__} has no width; set self.width, the number of joined "
            "features, in its constructor"
        )
    try:
        inspect.signature(fusion.forward).bind((), None)
    except TypeError:
        raise InputError(
            f"{type(fusion).__name__}.forward{inspect.signature(fusion.forward)} does not take two "
            "arguments; expected forward(features, present), where present is bool (..., M) or None"
        ) from None
    return fusion


def available() -> list[str]:
    """Return the names of all fusions."""
    return list(FUSIONS)
