"""Reading a config from YAML, a mapping or Python, with every problem reported at once.

A problem names ``file:line:column  key: found, expected, did you mean``. What is valid beside the
problems is kept in `ConfigError.partial`, so that the data it names can be checked at the same
time.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from motet.config.cross_checks import cross_checked
from motet.config.origin import ConfigError, Key, Origin, Problem
from motet.config.schema import Config, current
from motet.config.translating import path_of, translated
from motet.config.yaml_mistakes import yaml_mistake
from motet.config.yaml_positions import Document, parse, parse_value
from motet.problems import InputError, hint, shown


def read(
    source: str | Path | Mapping[str, Any] | Config, overrides: Sequence[str] = ()
) -> tuple[Config, Origin]:
    """Read and validate a config.

    Args:
        source: Path of a YAML file, a mapping, or a `Config`.
        overrides: Changes such as ``"training.epochs=3"``, applied in order; or one alone.

    Returns:
        The config and where it came from.

    Raises:
        ConfigError: If anything is wrong; it names every problem.
        InputError: If the source is none of these, or an override is not ``key=value``.
    """
    document, file = _document(source)
    origin = Origin(file, document, {})
    data = {} if document.data is None else document.data
    if not isinstance(data, dict):
        message = f"found {shown(data)}, expected a mapping with `data` and `tasks`"
        raise ConfigError([origin.problem((), message)], origin=origin)
    origin = Origin(file, document, _override(data, overrides))
    problems = [
        Problem(key, "is given twice; keep one", str(file), position)
        for key, position in document.doubled
        if not any(key[: len(outer)] == outer != key for outer, _ in document.doubled)
    ]
    config, found = _validated(data, origin)
    problems += found
    if config is not None:
        problems += cross_checked(config, origin)
    if problems or config is None:
        raise ConfigError(problems, config, origin)
    return config, origin


def override_list(overrides: Sequence[str]) -> list[str]:
    """Return overrides as a list, also one that is given alone."""
    return [overrides] if isinstance(overrides, str) else list(overrides)


def overridden(
    source: str | Path | Mapping[str, Any] | Config, overrides: Sequence[str]
) -> dict[str, Any]:
    """Return the keys and values of a config with its overrides, without validating them."""
    data = _document(source)[0].data
    found: dict[str, Any] = data if isinstance(data, dict) else {}
    _override(found, overrides)
    return found


def _document(
    source: str | Path | Mapping[str, Any] | Config,
) -> tuple[Document, Path | None]:
    if isinstance(source, Config):
        return Document(source.model_dump(exclude_unset=True), {}, {}, []), None
    if isinstance(source, Mapping):
        return Document(deepcopy(dict(source)), {}, {}, []), None
    if isinstance(source, (str, PathLike)):
        return _parsed(Path(source)), Path(source)
    raise InputError(
        f"found {shown(source)} for a config, expected the path of a YAML file, a mapping or a "
        "motet.Config"
    )


_OF_DATA = (".csv", ".parquet", ".pq", ".jsonl", ".ndjson", ".arrow", ".feather")


@lru_cache(maxsize=16)
def _parsed_text(text: str) -> Document:
    """Parse a text once: the runs of a plan begin with one config."""
    return parse(text)


def _parsed(file: Path) -> Document:
    if file.suffix.lower() in _OF_DATA and file.is_file():
        raise InputError(
            f"{str(file)!r} is a file of data, expected a YAML config; motet init {file} --targets "
            "COLUMN,COLUMN writes one"
        )
    text = ""
    try:
        text = file.read_text(encoding="utf-8")
        document = _parsed_text(text)
        return document._replace(data=deepcopy(document.data))  # which overrides change
    except FileNotFoundError:
        near = [path.name for path in file.parent.glob("*.y*ml")] if file.parent.is_dir() else []
        message = f"there is no file {str(file)!r}; {hint(file.name, near)}"
    except IsADirectoryError:
        inside = sorted(str(path) for path in file.glob("*.y*ml"))
        message = f"{str(file)!r} is a folder, expected a YAML file"
        message += f"; give {' or '.join(inside[:3])}" if inside else ""
    except PermissionError as error:
        message = f"{str(file)!r} cannot be read: {error.strerror}; expected a YAML file"
    except UnicodeDecodeError:
        message = f"{str(file)!r} is not UTF-8 text; expected a YAML file, saved as UTF-8"
    except yaml.MarkedYAMLError as error:
        mistake, position = yaml_mistake(text, error)
        message = f"not valid YAML: {mistake}"
        raise ConfigError([Problem((), message, str(file), position)]) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = str(error).splitlines()[0]
        message = f"not valid YAML: {reason}; expected plain text"
        raise ConfigError([Problem((), message, str(file), None)]) from None
    raise InputError(message)


def _override(data: dict[str, Any], overrides: Sequence[str]) -> dict[Key, str]:
    """Apply ``key=value`` texts to ``data`` in place."""
    places: dict[Key, str] = {}
    for text in override_list(overrides):
        name, equals, value = text.partition("=")
        if not equals or not all(name.split(".")):
            name, colon, value = text.partition(":")
            near = f"; write {name.strip()}={value.strip()}" if colon and value else ""
            raise InputError(f"found the override {text!r}, expected key=value{near}")
        key = tuple(name.split("."))
        here = data
        for part in key[:-1]:
            inner = here.get(part)
            if isinstance(inner, str):
                inner = {"type": inner}
            here[part] = inner if isinstance(inner, dict) else {}
            here = here[part]
        try:
            here[key[-1]] = parse_value(value)
        except yaml.YAMLError:
            raise InputError(f"the value in the override {text!r} is not valid YAML") from None
        places[key] = text
    return places


def _validated(data: dict[str, Any], origin: Origin) -> tuple[Config | None, list[Problem]]:
    """Validate; on problems also try to build the config without the invalid keys."""
    try:
        return current().model_validate(data), []
    except ValidationError as error:
        found, problems = error.errors(), translated(error, data, origin, Config)
    kept = deepcopy(data)
    for each in found:
        _prune(kept, path_of(each, data))
    try:
        return current().model_validate(kept), problems
    except ValidationError:
        return None, problems


def _prune(data: Any, path: Key) -> None:
    """Remove the innermost key on the way that a mapping has."""
    for depth, part in enumerate(path, 1):
        if not (isinstance(data, dict) and part in data):
            return
        if depth == len(path) or not isinstance(data[part], dict):
            del data[part]
            return
        data = data[part]
