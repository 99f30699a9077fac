"""Fusion: from the features of several encoders to one representation."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from motet.encoders.fusion.base import Fusion
from motet.encoders.fusion.concat import Concat
from motet.options import create as _create
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
        InputError: If the name or an option is unknown, or an option has a wrong value.
    """
    if not isinstance(given, str | Mapping):
        return given(widths)
    options = {"type": given} if isinstance(given, str) else dict(given)
    fusion: Fusion = _create(FUSIONS, options.pop("type"), widths, **options)
    return fusion


def available() -> list[str]:
    """Return the names of all fusions."""
    return list(FUSIONS)
