"""Config forms of registry members: ``{type: name, option: value, ...}`` or just ``name``.

Every member's form is built from its signature (`motet.options`), and every place that chooses a
member is a union over its registry. So a member that is registered can be configured, and nothing
is described twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import NoneType
from typing import Annotated, Any, ClassVar, Literal, Union, cast, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, create_model
from pydantic_core import core_schema

from motet.options import Chosen, Option, explained_keys, fitting, read_options
from motet.registry import KINDS, version


class Section(BaseModel):
    """A part of the config: immutable, every key known, each explained by the docstring below it.

    These are read when they are asked for: pydantic would look for all of them at every start.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    @classmethod
    def explanations(cls) -> dict[str, str]:
        """Return the text of each key."""
        below: dict[str, str] = {}
        for each in reversed(cls.mro()):
            below |= explained_keys(each) if issubclass(each, Section) else {}
        texts = {
            key: field.description or below.get(key) for key, field in cls.model_fields.items()
        }
        return {key: text for key, text in texts.items() if text}

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        found: dict[str, Any] = handler(schema)
        keys = handler.resolve_ref_schema(found).get("properties", {})
        for key, text in cls.explanations().items():
            if key in keys:  # else it has an alias, under which pydantic describes it
                keys[key]["description"] = text
        return found


class Member(Section):
    """A chosen member: its registered name and its options."""

    _kind: ClassVar[str]
    _base: ClassVar[type["Member"]]
    type: str
    """The member's name."""

    def options(self) -> dict[str, Any]:
        """Return the options as plain values, defaults included."""
        return self.model_dump(exclude={"type"})

    def __reduce__(self) -> Any:
        # pickle looks classes up by name, and those of members are made at run time
        return _blank, (self._kind, self.type, self._base), self.__getstate__()


def _blank(kind: str, name: str, base: type[Member]) -> Member:
    form = _form(kind, name, version(), base)
    return form.__new__(form)


@dataclass(frozen=True)
class MemberOf:
    """Annotates a `Member` of ``kind``; without ``type`` it is the ``default``, if there is one."""

    kind: str
    default: str | None = None
    base: type[Member] = Member
    """What the forms have beside the member's options."""
    chosen: Chosen | None = None
    """The marker of the option that chooses it, by which fewer members fit."""

    def form(self, name: str) -> type[Member]:
        """Return the form of the member ``name``, as it is registered now."""
        return _form(self.kind, name, version(), self.base)

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        choices = {name: self._choice(name, handler) for name in self._fitting()}
        union = core_schema.tagged_union_schema(
            cast("dict[Any, core_schema.CoreSchema]", choices), discriminator=_name
        )
        chosen = core_schema.no_info_before_validator_function(self._spelled_out, union)
        optional = NoneType in get_args(source)
        return core_schema.nullable_schema(chosen) if optional else chosen

    def _choice(self, name: str, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return handler.generate_schema(Annotated[Any, _Choice(self, name)])

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        optional = schema["type"] == "nullable"
        chosen = schema["schema"] if optional else schema
        names = list(chosen["schema"]["choices"])
        forms = [  # without `type`, the options of several members would fit
            form if name == self.default else {**form, "required": ["type"]}
            for name, form in zip(names, handler(chosen)["oneOf"], strict=True)
        ]
        nothing = [{"type": "null"}] if optional else []
        return {"anyOf": [{"type": "string", "enum": names}, {"oneOf": forms}, *nothing]}

    def _fitting(self) -> list[str]:
        return list(KINDS[self.kind]) if self.chosen is None else fitting(self.chosen)

    def _spelled_out(self, value: Any) -> Any:
        if isinstance(value, str):
            value = {"type": value}
        elif isinstance(value, Mapping) and "type" not in value and self.default is not None:
            value = {"type": self.default, **value}
        registry, name = KINDS[self.kind], _name(value)
        if isinstance(name, str) and name in registry and name not in self._fitting():
            near = registry.hint(name, self._fitting())
            raise ValueError(f"the {self.kind} {name!r} does not fit here; {near}")
        return value


@dataclass(frozen=True)
class _Choice:
    """One member of many, whose form is built when a config or the JSON Schema names it."""

    member: MemberOf
    name: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            lambda value: self.member.form(self.name).model_validate(value)
        )

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> Any:
        form = self.member.form(self.name)
        # as a definition it is written once, wherever it is chosen
        return handler(core_schema.definitions_schema(form.__pydantic_core_schema__, []))


def _name(value: Any) -> Any:
    return value.get("type") if isinstance(value, Mapping) else getattr(value, "type", None)


@cache
def _form(kind: str, name: str, at: int, base: type[Member]) -> type[Member]:
    """Build the config form of one member; ``at``, the registries' version, only keys the cache."""
    fields: dict[str, Any] = {
        option.name: field_of(option)
        # those that are read only with some value of another come after it, to see that value
        for option in sorted(read_options(KINDS[kind], name), key=lambda o: o.only_with is not None)
    }
    fields["type"] = (Literal[name], Field(name))
    prefix = kind if base is Member else f"{kind}_{base.__name__.lower()}"
    form = create_model(f"{prefix}_{name}", __base__=base, **fields)
    form._kind, form._base = kind, base
    return form


def field_of(option: Option) -> tuple[Any, Any]:
    """Return an option as a field of a pydantic model: its annotation and the field."""
    default = ... if option.required else option.default
    annotation = option.annotation
    if (chosen := option.chosen) is not None:
        union = get_args(annotation) if get_origin(annotation) is Union else (annotation,)
        member = MemberOf(chosen.kind, chosen.default, chosen=chosen)
        annotation = Annotated[Member | None if NoneType in union else Member, member]
    return annotation, Field(default, description=option.description)
