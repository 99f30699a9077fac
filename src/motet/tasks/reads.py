"""What a task gets of another one: its raw output, or the features that its head reads."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple


class Read(NamedTuple):
    """What is read of a task, and whether its gradient ends there."""

    what: Literal["output", "features"] = "output"
    detach: bool = False


def reads_of(given: Sequence[str] | Mapping[str, Any]) -> dict[str, Read]:
    """Return what the option ``reads`` gives, by task; detached by default.

    Example:
        >>> reads_of(["a"])
        {'a': Read(what='output', detach=True)}
        >>> reads_of({"a": {"what": "features", "detach": False}})
        {'a': Read(what='features', detach=False)}
    """
    if not isinstance(given, Mapping):
        return {name: Read(detach=True) for name in given}
    return {name: Read(**{"detach": True, **each}) for name, each in given.items()}
