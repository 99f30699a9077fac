"""Applies the rules to a config, and keeps what was chosen and why."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, NamedTuple

from motet.settings import rules
from motet.settings.facts import Case, Facts

Path = tuple[str, ...]


class Choice(NamedTuple):
    """What was chosen for a key of a config."""

    key: str
    """The key, "training.epochs"."""
    value: Any
    reason: str


def resolve(
    config: Mapping[str, Any], given: Mapping[str, Any], facts: Facts
) -> tuple[dict[str, Any], list[Choice]]:
    """Choose what a config leaves to the data.

    Args:
        config: The whole config as plain values, every default spelled out.
        given: What the user gave of it, members as ``{"type": name, ...}``.
        facts: The data.

    Returns:
        The config with plain values alone, and what was chosen.

    Example:
        >>> training = {"batch_size": "auto", "epochs": 20}
        >>> resolve({"training": training}, {"training": training}, Facts(4_000))[1]
        [Choice(key='training.batch_size', value=32, reason='4,000 training rows, 125 steps an \
epoch')]
    """
    found, choices = deepcopy(dict(config)), []
    for rule in rules.RULES:
        for path in _paths(found, tuple(rule.key.split("."))):
            value = _at(found, path)
            left_out = rule.left_out and not _has(given, path)
            if not (left_out or rule.is_open(value)):
                continue
            name = path[1] if "*" in rule.key else ""
            setting = rule.decide(Case(facts, found, value, name))
            if setting is None or setting.value == value:
                continue
            _at(found, path[:-1])[path[-1]] = setting.value
            choices.append(Choice(".".join(path), *setting))
    return found, choices


def needs_facts(config: Mapping[str, Any]) -> bool:
    """Whether any rule has something to decide, so that facts must be found."""
    return any(
        rule.left_out or rule.is_open(_at(config, path))
        for rule in rules.RULES
        for path in _paths(config, tuple(rule.key.split(".")))
    )


def _paths(config: Any, pattern: Path) -> Iterator[Path]:
    """Yield the paths of a config that fit a pattern."""
    if not pattern:
        yield ()
        return
    if not isinstance(config, Mapping):
        return
    first, *rest = pattern
    for key in list(config) if first == "*" else [first] if first in config else []:
        for path in _paths(config[key], tuple(rest)):
            yield (key, *path)


def _at(config: Any, path: Path) -> Any:
    for key in path:
        config = config[key]
    return config


def _has(given: Any, path: Path) -> bool:
    """Whether the user gave a key; a member named by its name alone has no options."""
    for key in path:
        if not (isinstance(given, Mapping) and key in given):
            return False
        given = given[key]
    return True
