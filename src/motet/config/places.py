"""Options that are paths (`motet.options.Place`): absolute in a run, none in a model folder."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from motet.config.schema import Config
from motet.options import Place
from motet.problems import nearest

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
    return _changed(config.model_copy(update={"from_run": None}), lambda place, _: place.saved)


def misspelt(config: Config, folder: Path) -> Iterator[tuple[tuple[str, ...], str]]:
    """Find values that are neither one of the names that fit, nor a path, nor look like one.

    Args:
        config: The config.
        folder: Where its relative paths start from.

    Yields:
        The key and the message.
    """
    for key, place, value in _placed(config, ()):
        looks_like_a_name = re.fullmatch(r"[\w-]+", value) and not (folder / value).exists()
        if place.names and value not in place.names and looks_like_a_name:
            known = [name for name in place.names if name != place.saved]
            meant = nearest(value, known)
            near = f"did you mean {meant!r}?" if meant else "there is no such file or folder"
            expected = f"{', '.join(known)}, or the path of a file or folder"
            yield key, f"found {value!r}, expected {expected}; {near}"


def _placed(
    section: BaseModel, key: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Place, str]]:
    for name, field in type(section).model_fields.items():
        value, here = getattr(section, name), (*key, name)
        place = next((mark for mark in field.metadata if isinstance(mark, Place)), None)
        if place is not None and isinstance(value, str | tuple):
            yield from ((here, place, each) for each in _texts(value))
        elif isinstance(value, BaseModel):
            yield from _placed(value, here)
        elif isinstance(value, Mapping):
            for inner, each in value.items():
                if isinstance(each, BaseModel):
                    yield from _placed(each, (*here, inner))


def _texts(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value


def _changed(section: S, change: Callable[[Place, str], Any]) -> S:
    changes = {}
    for name, field in type(section).model_fields.items():
        value = found = getattr(section, name)
        place = next((mark for mark in field.metadata if isinstance(mark, Place)), None)
        if place is None:
            found = _inside(value, change)
        elif isinstance(value, tuple):
            changed = [change(place, each) for each in value]
            found = tuple(each for each in changed if each is not None)
        elif isinstance(value, str) and value not in place.names:
            found = change(place, value)
        if found != value:  # a key that was left out stays one
            changes[name] = found
    return section.model_copy(update=changes)


def _inside(value: Any, change: Callable[[Place, str], Any]) -> Any:
    if isinstance(value, BaseModel):
        return _changed(value, change)
    if isinstance(value, Mapping):
        return {key: _inside(each, change) for key, each in value.items()}
    return value
