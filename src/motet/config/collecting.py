"""Collecting further problems of a config while it is used, each at its key."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from motet.config.origin import ConfigError, Origin, Problem
from motet.config.reading import read
from motet.config.schema import Config
from motet.problems import InputError


class Collector:
    """Collects problems instead of stopping at the first."""

    def __init__(self, origin: Origin, problems: Sequence[Problem] = ()) -> None:
        self.origin = origin
        self.problems = list(problems)

    @contextmanager
    def at(self, *key: str | int) -> Iterator[None]:
        """Turn an `InputError` into a problem at ``key``, unless one is known there already."""
        try:
            yield
        except InputError as error:
            at = error.key if error.complete else (*key, *error.key)
            # a key of one name is a whole section, which does not name whose error it is
            message = error.message if len(at) > 1 else str(error)
            # one mistake in a member often causes others
            member = key if len(key) > 1 and not error.complete else at
            if not any(_overlap(member, known.key) for known in self.problems):
                self.problems.append(self.origin.problem(at, message, at_key=len(at) > 1))

    def stop(self) -> None:
        """Raise what was collected, if anything."""
        if self.problems:
            raise ConfigError(self.problems, origin=self.origin)


def read_on(
    config: str | Path | Mapping[str, Any] | Config, overrides: Sequence[str] = ()
) -> tuple[Collector, Config]:
    """Read a config; report problems in the rest of it too.

    Returns:
        A collector that has what was found, and the config without it.

    Raises:
        ConfigError: If too little of it can be used.
    """
    try:
        found, origin = read(config, overrides)
    except ConfigError as error:
        if isinstance(error.partial, Config):
            return Collector(error.origin, error.problems), error.partial
        raise
    return Collector(origin), found


def _overlap(one: Sequence[Any], other: Sequence[Any]) -> bool:
    return all(a == b for a, b in zip(one, other, strict=False))
