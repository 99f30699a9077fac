"""Following a location through the schema, to the keys or the kind of member that fit there."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, Discriminator, Tag
from typing_extensions import is_typeddict

from motet.config.members import MemberOf
from motet.registry import KINDS

Location = tuple[str | int, ...]


def annotation_at(root: type[BaseModel], loc: Location) -> Any:
    """Follow pydantic's location from a model to the model, or annotation, found there."""
    here: Any = root
    for part in loc:
        member = next((m for m in getattr(here, "metadata", ()) if isinstance(m, MemberOf)), None)
        if member is not None and part in KINDS[member.kind]:
            here = member.form(str(part))
            continue
        model = model_in(here)
        # without a model it is a choice of forms, or holds several members: tasks, inputs, stages
        here = (
            model.model_fields.get(str(part)) if model else tagged(here, part) or member_field(here)
        )
        if here is None:
            return None
    return here


def model_in(here: Any) -> type[BaseModel] | None:
    """Return the model of a field or annotation, whether or not it may be left out."""
    annotation = getattr(here, "annotation", here)
    for each in (annotation, *get_args(annotation)):
        if isinstance(each, type) and issubclass(each, BaseModel):
            return each
    return None


@dataclass(frozen=True)
class _Entry:
    """The type of some values in a field, with the shape of a pydantic field."""

    metadata: tuple[Any, ...]
    annotation: Any = None


def tagged(here: Any, tag: str | int) -> _Entry | None:
    """Return the branch of a union that has a tag, or that is called so."""
    for branch in get_args(getattr(here, "annotation", here)):
        metadata = getattr(branch, "__metadata__", ())
        if any(isinstance(marker, Discriminator) for marker in metadata):  # it may be left out
            inner = tagged(branch.__origin__, tag)
            if inner is not None:
                return inner
        tags: list[Any] = [marker.tag for marker in metadata if isinstance(marker, Tag)]
        if tag in (tags or [getattr(branch, "__name__", None)]):
            return _Entry(metadata, branch)
    return None


def member_field(here: Any) -> _Entry | None:
    """Return the type of the members that a field holds several of."""
    todo = [getattr(here, "annotation", here)]
    while todo:
        annotation = todo.pop()
        metadata = getattr(annotation, "__metadata__", ())
        if any(isinstance(marker, MemberOf) for marker in metadata):
            return _Entry(metadata)
        todo += get_args(annotation)
    return None


def keys_at(root: type[BaseModel], loc: Location) -> list[str]:
    """List the keys that are known at a location."""
    here = annotation_at(root, loc)
    model = model_in(here)
    if model:
        return list(model.model_fields)
    mappings = filter(is_typeddict, _innermost(getattr(here, "annotation", here)))
    return [key for mapping in mappings for key in mapping.__annotations__]


def _innermost(annotation: Any) -> Iterator[Any]:
    yield annotation
    for inner in get_args(annotation):
        yield from _innermost(inner)


def kind_at(root: type[BaseModel], loc: Location) -> str:
    """Return the kind of member that is chosen at a location."""
    metadata = getattr(annotation_at(root, loc), "metadata", ())
    return next(marker.kind for marker in metadata if isinstance(marker, MemberOf))
