"""Training some tasks of a config alone: the overrides that disable all others."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from motet.config.reading import overridden, override_list
from motet.config.schema import Config
from motet.problems import InputError, hint


def only_tasks(
    source: str | Path | Mapping[str, Any] | Config, names: Sequence[str], overrides: Sequence[str]
) -> list[str]:
    """Return overrides that train some tasks alone.

    Args:
        source: See `motet.config.read`.
        names: The tasks to train; those that the config disables are enabled.
        overrides: Other overrides, which may add tasks.

    Returns:
        ``overrides``, and those that enable and disable tasks. A config without tasks is left to
        `motet.config.read`, which reports its problems.

    Raises:
        InputError: If no task is named, or an unknown one.
    """
    tasks = overridden(source, overrides).get("tasks")
    if not isinstance(tasks, Mapping) or not tasks:
        return override_list(overrides)
    if not names:
        raise InputError("found none; expected one or more tasks", option="tasks")
    for name in names:
        if name not in tasks:
            raise InputError(f"no task is named {name!r}; {hint(name, tasks)}", option="tasks")
    found = override_list(overrides)
    for name, task in tasks.items():
        disabled = isinstance(task, Mapping) and task.get("enabled") is False
        if name in names and disabled:
            found.append(f"tasks.{name}.enabled=true")
        elif name not in names and not disabled:
            found.append(f"tasks.{name}.enabled=false")
    return found
