"""Options that are paths (`motet.options.Place`): absolute in a run, none in a model folder."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from motet.config.schema import Config
from motet.options import Place

S = TypeVar("S", bound=BaseModel)


def with_absolute(config: Config, folder: Path) -> Config:
    """Return a config whose paths mean the same from any folder.

    Args:
        config: The config.
        folder: Where its relative paths start from.

    Returns:
        The config with absolute paths.
    """
    return _changed(config, lambda _, path: str((folder / Path(path).expanduser()).resolve()))


def without_paths(config: Config) -> Config:
    """Return a config without any path, for a model folder, which has all that it needs."""
    return _changed(config, lambda place, _: place.saved)


def _changed(section: S, change: Callable[[Place, str], Any]) -> S:
    changes = {}
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        place = next((mark for mark in field.metadata if isinstance(mark, Place)), None)
        if place is None:
            changes[name] = _inside(value, change)
        elif isinstance(value, str) and value not in place.names:
            changes[name] = change(place, value)
    return section.model_copy(update=changes)


def _inside(value: Any, change: Callable[[Place, str], Any]) -> Any:
    if isinstance(value, BaseModel):
        return _changed(value, change)
    if isinstance(value, Mapping):
        return {key: _inside(each, change) for key, each in value.items()}
    return value
