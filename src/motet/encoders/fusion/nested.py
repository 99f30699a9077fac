"""Fusions inside others."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from motet.encoders.fusion.base import Fusion
from motet.encoders.fusion.checks import checked_fusion
from motet.options import create, name_and_options
from motet.problems import InputError
from motet.registry import FUSIONS


def create_nested(
    option: str, given: str | Mapping[str, Any], widths: Sequence[int], width: int
) -> Fusion:
    """Build a fusion that is part of another.

    Args:
        option: The option that chooses it.
        given: A name, or a name with options; attention with options where it has no name.
        widths: The width of each of its inputs.
        width: Its width, unless it is given one.

    Returns:
        The fusion.

    Raises:
        InputError: If it has an option that acts on the whole alone, or cannot be made.
    """
    name, options = name_and_options(given, "attention")
    if options.get("modality_dropout"):
        raise InputError(
            f"found modality_dropout: {options['modality_dropout']} inside; modalities are hidden "
            "before all fusions; give it beside this option",
            option=option,
        )
    if options.get("width") is None and "width" in inspect.signature(FUSIONS[name]).parameters:
        options["width"] = width
    return checked_fusion(create(FUSIONS, name, widths, **options))
