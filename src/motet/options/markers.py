"""Marks on options: names of members, defaults, paths, and what an option depends on."""

import re
from dataclasses import dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import (
    GetCoreSchemaHandler,
)
from pydantic_core import core_schema

from motet.registry import KINDS


@dataclass(frozen=True)
class Named:
    """Marks a text that names a member of ``kind``.

    Built-in members fit if they are in ``names``, or all if it is None; members of users and of
    other packages always fit.
    """

    kind: str
    names: tuple[str, ...] | None = None

    def fitting(self) -> tuple[str, ...]:
        """List the names that can be used now."""
        registry = KINDS[self.kind]
        if self.names is None:
            return tuple(registry)
        return (*self.names, *(name for name in registry if not registry.is_built_in(name)))

    def check(self, name: str) -> str:
        """Return ``name``, or raise with the nearest one that fits."""
        base = re.split("[@+]", name)[0] if self.kind == "metric" else name
        if base not in self.fitting():
            why = "does not fit here" if name in KINDS[self.kind] else "is not known"
            near = KINDS[self.kind].hint(name, self.fitting())
            raise ValueError(f"the {self.kind} {name!r} {why}; {near}")
        return name

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        names: dict[str, Any] = {"type": "string", "enum": list(self.fitting())}
        if self.kind != "metric":
            return names
        more = r"^\w+@[1-9]\d*$", r"^\w+(\+\w+)+$"  # ndcg@10, sentence_exact+intent
        return {"anyOf": [names, *({"type": "string", "pattern": each} for each in more)]}


@dataclass(frozen=True)
class Chosen:
    """Marks a mapping ``{type: name, option: value, ...}`` that chooses a member of ``kind``."""

    kind: str
    default: str | None = None
    lacking: str | None = None
    """Option that the members which fit here do not have."""
    names: tuple[str, ...] = ()
    """The members that fit; all if empty."""

    @staticmethod
    def of(annotation: Any) -> "Chosen | None":
        """Return the marker of an annotation, or of a branch of its union."""
        is_union = get_origin(annotation) in (Union, UnionType)
        branches = get_args(annotation) if is_union else (annotation,)
        marks = (mark for each in branches for mark in getattr(each, "__metadata__", ()))
        return next((mark for mark in marks if isinstance(mark, Chosen)), None)


@dataclass(frozen=True)
class Default:
    """Gives the default of an option in a TypedDict, which has no other place for it."""

    value: Any


def defaults_of(options: Any) -> dict[str, Any]:
    """Return the defaults of the options that are the keys of a TypedDict."""
    marks = {name: option.__metadata__ for name, option in options.__annotations__.items()}
    return {
        name: next(mark.value for mark in each if isinstance(mark, Default))
        for name, each in marks.items()
    }


@dataclass(frozen=True)
class InConfig:
    """Marks an option of Python that a config has under another key, or not at all (None)."""

    key: str | None


@dataclass(frozen=True)
class Place:
    """Marks a text that is the path of a file or folder, relative to the config file."""

    names: tuple[str, ...] = ()
    """Values that are not paths."""
    saved: str | None = None
    """The placeholder for a path in a model folder, which contains no paths."""


@dataclass(frozen=True)
class OnlyWith:
    """Marks an option, None when not given, that only some values of another option read."""

    option: str
    values: tuple[Any, ...]

    def complaint(self, name: str, chosen: object) -> str:
        """Return the message for an option ``name`` that has no effect: why, and what to do."""
        fitting = " or ".join(map(str, self.values))
        return (
            f"applies only with {self.option}: {fitting}, found {self.option}: {chosen}; "
            f"remove {name} or set {self.option}: {fitting}"
        )

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Check inside a config, where options validated before are at hand."""

        def check(value: Any, info: core_schema.ValidationInfo) -> Any:
            chosen = (info.data or {}).get(self.option, self.values[0])
            if value is not None and chosen not in self.values:
                raise ValueError(self.complaint(str(info.field_name), chosen))
            return value

        return core_schema.with_info_after_validator_function(check, handler(source))


def only_with(annotation: Any) -> OnlyWith | None:
    """Return the marker that ties an option to a value of another, if its annotation has one."""
    markers = getattr(annotation, "__metadata__", ())
    return next((marker for marker in markers if isinstance(marker, OnlyWith)), None)
