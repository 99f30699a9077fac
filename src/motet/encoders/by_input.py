"""Which class a name stands for, where it depends on the kind of input that is read."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from motet.encoders.base import kinds_read
from motet.encoders.pretrained_images import PretrainedImages
from motet.options import read_options
from motet.problems import InputError
from motet.registry import ENCODERS

_OTHERS: dict[tuple[str, str], type[nn.Module]] = {("pretrained", "image"): PretrainedImages}
"""Classes by name and by what they read, beside those of the registry."""


def class_for(name: str, kind: str) -> Any:
    """Return the class that a name stands for where a kind of input is read; None if there is none.

    Args:
        name: A name of the registry.
        kind: ``reads`` of the class, such as "image".
    """
    other = _OTHERS.get((name, kind))
    if other is not None:
        return other
    member = ENCODERS[name]
    return member if kind in kinds_read(member) else None


def create_other(
    name: str, kind: str, sizes: Sequence[Any], options: Mapping[str, Any]
) -> nn.Module | None:
    """Build the encoder of an input by a class that is not the one of the registry.

    Args:
        name: Its name.
        kind: What it reads.
        sizes: Its positional arguments.
        options: Its options.

    Returns:
        The encoder; None if the name stands for the class of the registry.

    Raises:
        InputError: If an option has a wrong value, or is for another kind of input.
    """
    other = _OTHERS.get((name, kind))
    if other is None:
        return None
    defaults = {each.name: each.default for each in read_options(ENCODERS, name)}
    accepted = inspect.signature(other).parameters
    for option in [each for each in options if each not in accepted]:
        if option not in defaults or options[option] != defaults[option]:
            raise InputError(f"{name} does not have it for {kind} inputs; remove it", option=option)
    return other(*sizes, **{o: value for o, value in options.items() if o in accepted})
