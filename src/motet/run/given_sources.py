"""The sources of a run: those that a config names, or rows from Python."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

from motet.config import Config, Member, Origin
from motet.config.named_sources import Found, of_one_table, wrong_sources
from motet.config.named_sources import sources_of as named_by
from motet.config.places import with_absolute
from motet.data.sources import Source, as_source
from motet.data.sources.files import Files
from motet.options import create
from motet.problems import InputError
from motet.registry import AUXILIARY, SOURCES


def sources_of(config: Config, origin: Origin, data: Any) -> dict[str, Source]:
    """Return the sources of a run by name, of which the only one has none.

    Args:
        config: The config.
        origin: Where it came from.
        data: Rows from Python, if any.

    Returns:
        The sources; nothing is read yet.

    Raises:
        InputError: If there is none, or data are given twice.
    """
    chosen = config.data
    if data is not None:
        for key in ("source", "sources"):
            if getattr(chosen, key) is not None:
                raise InputError(f"found data from Python and data.{key}; remove one of them")
        return _given(data, config)
    if chosen.source is not None:
        return {"": Files(origin.folder, source=chosen.source)}
    members = with_absolute(config, origin.folder).data.sources or {}
    if not members:
        raise InputError("found no data; give data.source, or data= from Python")
    made = {name: _made(member, origin) for name, member in members.items()}
    return made if len(made) > 1 else dict.fromkeys([""], next(iter(made.values())))


def _made(member: Member, origin: Origin) -> Source:
    folder = (origin.folder,) if member.type == "files" else ()
    made: Source = create(SOURCES, member.type, *folder, **member.options())
    return made


def _given(data: Any, config: Config) -> dict[str, Source]:
    """Return the sources of data from Python: several if tasks name their sources."""
    from motet.data.several import Sources  # needs torch, which `data` from Python may use

    wanted = {source for task in config.tasks.values() for source in named_by(task)}
    several: Mapping[str, Any] | None = None
    if isinstance(data, Sources):
        several = data.given
    elif isinstance(data, Mapping) and not wanted.isdisjoint(data):
        several = data
    if several is None:
        return {"": as_source(data)}
    found = {}
    for name, rows in several.items():
        with in_source(name):
            found[name] = as_source(rows)
    return found if len(found) > 1 else dict.fromkeys([""], *found.values())


def wrong_given(config: Config, sources: Mapping[str, Source]) -> Iterator[Found]:
    """Find what does not fit the sources of data from Python.

    Args:
        config: The config.
        sources: The sources by name, of which the only one has none.

    Yields:
        The key of each problem and its message.
    """
    if "" in sources:
        advice = "remove it, or give a mapping of several sources: data={name: rows, ...}"
        yield from islice(of_one_table(config.tasks, advice), 1)  # the data may be the mistake
    else:
        auxiliary = frozenset(name for name, t in config.tasks.items() if t.type in AUXILIARY)
        yield from wrong_sources(dict.fromkeys(sources), config.tasks, config.inputs, auxiliary)


@contextmanager
def in_source(name: str) -> Iterator[None]:
    """Begin the message of an `InputError` with the name of the source, if it has one."""
    try:
        yield
    except InputError as error:
        if not name:
            raise
        made = InputError(
            f"source {name!r}: {error.message}", option=error.option, owner=error.owner
        )
        made.key = error.key
        raise made from None
