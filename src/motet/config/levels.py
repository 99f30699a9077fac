"""The levels of a config as it was given: each mapping in it whose keys are known.

A problem in one level does not hide the others, so hints can name keys anywhere.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo

from motet.config.members import MemberOf
from motet.config.navigating import member_field, model_in, tagged
from motet.config.origin import Key
from motet.problems import InputError
from motet.registry import KINDS


@dataclass(frozen=True)
class Level:
    """A mapping of a config, and the keys that it may have."""

    path: Key
    fields: Mapping[str, FieldInfo]
    marker: MemberOf | None = None
    """Of which kind a member is chosen here, if one is."""
    name: str = ""
    """The member."""

    def with_type(self, name: str) -> "Level":
        """Return the level as it would be with another member."""
        assert self.marker is not None
        return Level(self.path, self.marker.form(name).model_fields, self.marker, name)


def levels(data: Mapping[str, Any], fields: Mapping[str, FieldInfo]) -> list[Level]:
    """List the levels of a config, the outer ones first; members left out are the default ones.

    Args:
        data: The config as it was given.
        fields: Its sections.

    Returns:
        All levels, the whole config first.
    """
    found, todo = list[Level](), [(Level((), fields), data)]
    while todo:
        level, values = todo.pop(0)
        found.append(level)
        for key, field in level.fields.items():
            todo += _below((*level.path, key), field, values.get(key))
    return found


def near(found: Iterable[Level], parent: Key) -> list[Level]:
    """Leave out all tasks, and all inputs, but the one that is the parent's, else the first."""
    kept: dict[Any, Any] = {parent[:1]: parent[1:2]} if len(parent) > 1 else {}
    return [
        level
        for level in found
        if level.path[:1] not in _SEVERAL
        or len(level.path) == 1
        or kept.setdefault(level.path[:1], level.path[1:2]) == level.path[1:2]
    ]


_SEVERAL = (("inputs",), ("tasks",))


def marker_of(field: Any) -> MemberOf | None:
    """Return the mark of a field that chooses a member."""
    return next((mark for mark in field.metadata if isinstance(mark, MemberOf)), None)


def _below(path: Key, field: Any, value: Any) -> Iterator[tuple[Level, Mapping[str, Any]]]:
    several = isinstance(value, (list, tuple))
    branch = tagged(field, "stages" if several else "one") or field  # of balancing
    if (marker := marker_of(branch)) is not None:
        default = value if value is not None else _default(field)
        yield from _chosen(path, marker, default)
    elif (model := model_in(field)) is not None:
        yield Level(path, model.model_fields), value if isinstance(value, Mapping) else {}
    elif (entry := member_field(branch)) is not None and (marker := marker_of(entry)) is not None:
        for key, each in _entries(value):
            yield from _chosen((*path, key), marker, each)


def _entries(value: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        return value.items()
    return enumerate(value) if isinstance(value, (list, tuple)) else ()


def _default(field: Any) -> Any:
    made = field.get_default(call_default_factory=True) if isinstance(field, FieldInfo) else None
    return made if isinstance(made, (str, Mapping)) else getattr(made, "type", None)


def _chosen(path: Key, marker: MemberOf, value: Any) -> Iterator[tuple[Level, Mapping[str, Any]]]:
    given = value if isinstance(value, Mapping) else {}
    name = given.get("type", marker.default) if isinstance(value, Mapping) else value
    if isinstance(name, str) and name in KINDS[marker.kind]:
        with suppress(InputError):  # of a package that cannot be imported; reported at its name
            fields = marker.form(name).model_fields
            yield Level(path, fields, marker, name), given
