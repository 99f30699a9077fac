"""Members chosen by name, with or without options."""

from collections.abc import Mapping
from typing import Any

from motet.problems import InputError

MemberChoice = str | Mapping[str, Any]
"""A member's name, or ``{"type": name, option: value, ...}``."""


def name_and_options(choice: MemberChoice) -> tuple[str, dict[str, Any]]:
    """Split a choice into the member's name and its options.

    Returns:
        Name and options.

    Raises:
        InputError: If there is no name.
    """
    if isinstance(choice, str):
        return choice, {}
    options = dict(choice)
    if "type" not in options:
        raise InputError(f'found {options}, expected {{"type": name, option: value, ...}}')
    return options.pop("type"), options
