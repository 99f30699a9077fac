"""Fusion: from the features of several encoders to one representation."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from motet.elsewhere import missing
from motet.encoders.fusion.attention import Attention
from motet.encoders.fusion.base import Exchanging, Fusion
from motet.encoders.fusion.checks import checked_fusion
from motet.encoders.fusion.concat import Concat
from motet.encoders.fusion.cross_attention import CrossAttention
from motet.encoders.fusion.gating import Gating
from motet.encoders.fusion.hierarchical import Hierarchical
from motet.options import create as _create
from motet.options import name_and_options
from motet.problems import InputError, with_article
from motet.registry import FUSIONS

__all__ = [
    "Attention",
    "Concat",
    "CrossAttention",
    "Exchanging",
    "Fusion",
    "Gating",
    "Hierarchical",
    "available",
    "create",
]


def create(
    given: str | Mapping[str, Any] | Callable[..., Fusion],
    widths: Sequence[int],
    names: Sequence[str] = (),
    sequences: Sequence[str] = (),
) -> Fusion:
    """Build a fusion for features of some widths.

    Args:
        given: A name of ``available()``, ``{"type": name, option: value}``, or what makes a fusion
            from the widths, such as a class; with the names if it has the parameter ``names``.
        widths: The width of each encoder's features.
        names: The name of each modality; numbers, "0" onwards, if left out.
        sequences: Those whose encoders give a state per token.

    Returns:
        The fusion.

    Raises:
        InputError: If the name or an option is unknown, an option has a wrong value, or what was
            made is no fusion with a width.
    """
    if isinstance(given, Fusion):
        kind = type(given).__name__
        raise InputError(
            f"found {with_article(kind)}; expected what makes one from widths, such as its class"
        )
    member: Any = given
    make = member
    if not callable(given):
        name, options = name_and_options(given)
        member, make = FUSIONS[name], partial(_create, FUSIONS, name, **options)
    known = {"names": tuple(names or map(str, range(len(widths)))), "sequences": tuple(sequences)}
    taken = inspect.signature(member).parameters
    return checked_fusion(make(widths, **{n: each for n, each in known.items() if n in taken}))


def available() -> list[str]:
    """Return the names of all fusions."""
    return list(FUSIONS)


if not TYPE_CHECKING:  # type checkers know what is here

    def __getattr__(name: str) -> Any:
        raise missing(__name__, name)
