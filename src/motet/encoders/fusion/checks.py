"""What a fusion of a user's own must have."""

import inspect
from typing import Any

from motet.encoders.fusion.base import Fusion
from motet.problems import InputError


def checked_fusion(fusion: Any) -> Fusion:
    """Return what a class or function of a user's own made.

    Args:
        fusion: Anything.

    Returns:
        The same fusion.

    Raises:
        InputError: If it is no fusion, has no width, or does not take which modalities are present.
    """
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
