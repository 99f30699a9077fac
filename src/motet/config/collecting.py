"""Collecting what else is wrong with a config once it is put to use, each problem at its key."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from motet.config.origin import ConfigError, Origin, Problem
from motet.config.reading import read
from motet.config.schema import Config
from motet.config.training import TrainingConfig
from motet.problems import InputError


class Collector:
    """Collects problems instead of stopping at the first."""

    def __init__(self, origin: Origin, problems: Sequence[Problem] = ()) -> None:
        self.origin = origin
        self.problems = list(problems)

    @contextmanager
    def at(self, *key: str) -> Iterator[None]:
        """Turn an `InputError` into a problem at ``key``, unless one is known there already."""
        try:
            yield
        except InputError as error:
            key = (*key, *error.key)
            message = _without_place(key, str(error))
            first = message.partition(" ")[0]
            if key == ("training",) and first in TrainingConfig.model_fields:
                key = ("training", first)  # such as "device 'cuda' cannot be used"
            if not any(_overlap(key, known.key) for known in self.problems):
                at_key = len(key) > 1
                self.problems.append(self.origin.problem(key, message, at_key=at_key))

    def stop(self, partial: Config | None = None) -> None:
        """Raise what was collected, if anything."""
        if self.problems:
            raise ConfigError(self.problems, partial, self.origin)


def read_on(
    config: str | Path | Mapping[str, Any] | Config, overrides: Sequence[str] = ()
) -> tuple[Collector, Config]:
    """Read a config; if some of it is wrong, go on with the rest to find what else is.

    Returns:
        A collector that has what was found, and the config without it.

    Raises:
        ConfigError: If too much is wrong to go on.
    """
    try:
        found, origin = read(config, overrides)
    except ConfigError as error:
        if error.partial is None:
            raise
        return Collector(error.origin, error.problems), error.partial
    return Collector(origin), found


def _without_place(key: Sequence[str], message: str) -> str:
    """Leave out how a message begins if the key says the same."""
    part = key[0].removesuffix("s")
    return message.removeprefix(f"{part} {key[-1]!r}: ").removeprefix(f"{key[-1]}: ")


def _overlap(one: Sequence[Any], other: Sequence[Any]) -> bool:
    return all(a == b for a, b in zip(one, other, strict=False))
