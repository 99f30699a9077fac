"""Choices of members in Python: a name, or a mapping with options, as a config has them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pydantic import TypeAdapter, ValidationError

from motet.options.explaining import explain
from motet.options.markers import Chosen
from motet.options.reading import REQUIRED, Option, read_options
from motet.problems import InputError, option_hint, shown
from motet.registry import KINDS


def name_and_options(
    choice: Any, default: str | None = None, *, option: str | None = None
) -> tuple[str, dict[str, Any]]:
    """Split a choice into the member's name and its options.

    Args:
        choice: A name, or ``{"type": name, option: value, ...}``.
        default: The name where a mapping has none.
        option: Of which option it is the value, for the message.

    Returns:
        Name and options.

    Raises:
        InputError: If it is neither, or has no name.

    Example:
        >>> name_and_options({"type": "lstm", "width": 64})
        ('lstm', {'width': 64})
    """
    options = {"type": choice} if isinstance(choice, str) else choice
    name = options.get("type", default) if isinstance(options, Mapping) else None
    if not isinstance(name, str):
        raise InputError(
            f'found {shown(choice)}; expected a name, or {{"type": name, option: value, ...}}',
            option=option,
        )
    return name, {option: value for option, value in options.items() if option != "type"}


def check_choice(choice: Any, marker: Chosen) -> None:
    """Check a choice as a config does, as the member may be created later or not at all.

    Of a member that users registered only the name is checked, as its options may have values that
    no config can express.

    Raises:
        InputError: If no member that fits has the name, or an option is unknown, missing, or has a
            wrong value.
    """
    name, given = name_and_options(choice, marker.default)
    registry = KINDS[marker.kind]
    if registry.known(name) not in fitting(marker):
        near = registry.hint(name, fitting(marker))
        raise InputError(f"the {registry.noun} {name!r} does not fit here; {near}")
    if not registry.is_built_in(name):
        return
    options = {option.name: option for option in read_options(registry, name)}
    for found in given:
        if found not in options:
            near = option_hint(str(found), options)
            raise InputError(f"{registry.kind} {name!r} has no option {found!r}; {near}")
    values = {option: known.default for option, known in options.items()} | given
    for each in options.values():
        with within(each.name):
            _check_value(each, values)


def _check_value(option: Option, values: Mapping[str, Any]) -> None:
    value, marker = values[option.name], option.only_with
    if value is REQUIRED:
        raise InputError("missing, but required")
    if marker is not None and value is not None and values[marker.option] not in marker.values:
        raise InputError(marker.complaint(option.name, values[marker.option]))
    if option.chosen is not None and isinstance(value, (str, Mapping)):
        check_choice(value, option.chosen)
    try:
        TypeAdapter(option.annotation).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        keys = [str(key) for key in first["loc"] if str(key).isidentifier()]
        raise InputError(explain(dict(first)), option=".".join(keys) or None) from None


def fitting(marker: Chosen) -> list[str]:
    """List the members that a choice may name."""
    registry = KINDS[marker.kind]
    return [
        name
        for name in marker.names or registry
        if marker.lacking is None
        or registry.package(name) is not None  # imported where it is named
        or all(option.name != marker.lacking for option in read_options(registry, name))
    ]


@contextmanager
def within(option: str) -> Iterator[None]:
    """Put an option in front of that of an `InputError` that passes."""
    try:
        yield
    except InputError as error:
        inner = "" if error.option is None else f".{error.option}"
        raise InputError(error.message, option=f"{option}{inner}") from None
