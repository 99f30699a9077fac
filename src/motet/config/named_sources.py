"""The entries of ``data.sources``, and what tasks may say about them."""

from collections.abc import Iterator, Mapping
from typing import Any

from motet.config.members import Member
from motet.problems import hint


class NamedSource(Member):
    """A chosen source, and the inputs that it has."""

    inputs: tuple[str, ...] | dict[str, str] | None = None
    """Names of the inputs that its rows have, or for each of them the column, if columns have
    another name here, ``{text: utterance}``; those whose columns it has if left out."""

    def options(self) -> dict[str, Any]:
        """Return the options of the source itself as plain values, defaults included."""
        return self.model_dump(exclude={"type", "inputs"})

    @property
    def columns(self) -> Mapping[str, str]:
        """The column of each input whose column has another name here."""
        return self.inputs if isinstance(self.inputs, dict) else {}


Found = tuple[tuple[str | int, ...], str]
"""The key and the message of a problem."""


def wrong_sources(
    sources: Mapping[str, object],
    tasks: Mapping[str, Member],
    inputs: Mapping[str, Member] | None,
    auxiliary: frozenset[str],
) -> Iterator[Found]:
    """Find what does not fit several named sources.

    Args:
        sources: The sources by name.
        tasks: The tasks by name.
        inputs: The inputs by name; None if they are inferred.
        auxiliary: Names of the tasks that need no labels.

    Yields:
        The key of each problem and its message.
    """
    for source, member in sources.items():
        given = getattr(member, "inputs", None)
        for place, name in enumerate(given or ()):
            if inputs is not None and name not in inputs:
                key = place if isinstance(given, tuple) else name
                message = f"no input is named {name!r}; {hint(name, inputs)}"
                yield ("data", "sources", source, "inputs", key), message
    for name, task in tasks.items():
        named = sources_of(task)
        for source in named:
            if source not in sources:
                message = f"no source is named {source!r}; {hint(source, sources)}"
                yield ("tasks", name, "source"), message
        if not named and name not in auxiliary:
            message = (
                f"the data have several sources; give source: the one of {', '.join(sources)} that "
                "has its labels"
            )
            yield ("tasks", name), message
    chosen = {source for task in tasks.values() for source in sources_of(task)}
    complete = all(map(sources_of, tasks.values())) and chosen <= set(sources)
    for source in sources if complete else ():
        if source not in chosen:
            message = "no task names it as its source; remove it, or give some task source: "
            yield ("data", "sources", source), f"{message}{source}"
    yield from _batch_sizes(tasks)


def of_one_table(
    tasks: Mapping[str, Member], advice: str = "remove it, or give data.sources"
) -> Iterator[Found]:
    """Find options of tasks that only several sources give a meaning; see `wrong_sources`."""
    for name, task in tasks.items():
        for option in ("source", "batch_size"):
            if task.options().get(option) is not None:
                message = (
                    f"found {task.options()[option]!r}, and one table, whose rows are those of all "
                    f"tasks; {advice}"
                )
                yield ("tasks", name, option), message


def sources_of(task: Member) -> tuple[str, ...]:
    """Return the sources that a task names."""
    given = task.options().get("source")
    return (given,) if isinstance(given, str) else tuple(given or ())


def _batch_sizes(tasks: Mapping[str, Member]) -> Iterator[Found]:
    owners: dict[str, tuple[str, int]] = {}
    for name, task in tasks.items():
        size = task.options().get("batch_size")
        if size is None:
            continue
        for source in sources_of(task):
            first, other = owners.setdefault(source, (name, size))
            if other != size:
                message = (
                    f"found {size}, but {other} for {first!r}, whose labels are in the same source "
                    f"{source!r}; expected one batch size for the rows of a source"
                )
                yield ("tasks", name, "batch_size"), message
