"""What the shell offers beside commands, options and files: names of tasks and of kinds of member.

Nothing is offered where a config or a run cannot be read: the command itself reports why.
"""

from collections.abc import Mapping
from pathlib import Path

import typer

from motet.problems import InputError


def task_names(context: typer.Context, incomplete: str) -> list[str]:
    """Return the tasks of the config or run that was typed before; more follow after a comma."""
    parsed = (context.params.get("config"), context.params.get("run"))
    given = next(filter(None, (*parsed, *context.args)), None)  # args: an option without its value
    before, comma, last = incomplete.rpartition(",")
    chosen = before.split(",")
    return [
        before + comma + name
        for name in (_tasks(Path(given)) if given else [])
        if name.startswith(last) and name not in chosen
    ]


def kinds(incomplete: str) -> list[str]:
    """Return what `motet list` takes."""
    from motet.registry import KINDS

    plurals = (registry.plural for registry in KINDS.values())
    return [plural for plural in plurals if plural.startswith(incomplete)]


def _tasks(source: Path) -> list[str]:
    from motet.config.reading import overridden

    if source.is_dir():
        source /= "config.yaml"
    try:
        tasks = overridden(source, []).get("tasks")
    except InputError:
        return []
    return [str(name) for name in tasks] if isinstance(tasks, Mapping) else []
