"""What to write in place of a value of a wrong form: a scalar for a section, a word for nothing."""

import re
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any, get_args, get_origin

from motet.config.levels import Level, levels, marker_of
from motet.config.navigating import member_field, model_in
from motet.config.origin import Key
from motet.names import Registry
from motet.options import read_options
from motet.other_names import KEYS, MEMBERS, NONE, VALUES, plain
from motet.problems import nearest, shown
from motet.registry import KINDS

_SHORT: dict[Key, dict[type, str]] = {
    ("data",): {str: "source", list: "source"},
    ("data", "split"): {str: "column", float: "test"},
    ("training",): {int: "epochs"},
    ("training", "early_stopping"): {int: "patience"},
}
"""By section: the key that a value of a type is meant for."""
_EVERYTHING = ("all", "auto", "infer", "any", "*", "")
_SECTION = re.compile(r"(\w+):\s*(\S.*)|(\w+)\s+(\S+)")


def value_at(data: Any, path: Key) -> Any:
    """Return what a config has at a path, None if there is nothing."""
    for part in path:
        if isinstance(data, Mapping):
            data = data.get(part)
        else:
            data = data[part] if isinstance(data, (list, tuple)) and isinstance(part, int) else None
    return data


def value_hint(path: Key, value: Any, found: Sequence[Level]) -> str | None:
    """Say what to write in place of a value that does not fit.

    Args:
        path: Where it was given.
        value: What was given.
        found: The levels of the config.

    Returns:
        The end of a message, or None if nothing is known.
    """
    level = next((each for each in found if each.path == path[:-1]), None)
    field = level.fields.get(str(path[-1])) if level else None
    other = VALUES.get(str(path[-1]), {}).get(plain(str(value)))
    if field is None:
        return None
    if other is not None:
        return f"did you mean {other!r}?"
    word = str(value) if isinstance(value, (str, bool)) else None
    nothing = NONE if _tuple_in(field.annotation) is None else NONE[:2]  # a list may have "no"
    if word is not None and plain(word) in nothing and NoneType in get_args(field.annotation):
        return "write null"
    if path[-1] == "evaluate_every" and isinstance(value, str):
        match = re.fullmatch(r"(\d+)\s*(epoch|step)s?", value)
        if match:
            return f"write {{epochs: {match[1]}}}" if match[2] == "epoch" else f"write {match[1]}"
    if path[-1] == "unfreeze" and type(value) is int:
        return f"write {{every: {value}}}"
    if model_in(field) is not None:
        return _for_section(path, field, value)
    if member_field(field) is not None and path in (("tasks",), ("inputs",)):
        return _for_members(path, field, value)
    if value is True and isinstance(field.default, Mapping):
        return f"remove it for the default, or write {_yaml(dict(field.default))}"
    return _by_task(path, value, found) or _for_list(field, value)


def _by_task(path: Key, value: Any, found: Sequence[Level]) -> str | None:
    """Name the values of a balancer that were given in the order of the tasks."""
    tasks = dict.fromkeys(each.path[1] for each in found if _is_task(each.path))
    if path[0] != "balancing" or not isinstance(value, list) or len(value) != len(tasks):
        return None
    return f"write {_yaml(dict(zip(tasks, value, strict=True)))}"


def _is_task(path: Key) -> bool:
    return len(path) == 2 and path[0] == "tasks"


def _for_section(path: Key, field: Any, value: Any) -> str:
    model = model_in(field)
    assert model is not None
    if path == ("data", "split") and str(value).lower() in ("random", "auto", *NONE):
        return "remove it; then rows are split at random"
    for kind, key in _SHORT.get(path, {}).items():
        if type(value) is kind and not _is_line(value):
            return f"write {{{key}: {_yaml(value)}}}"
    if isinstance(value, str):
        for key, each in model.model_fields.items():
            marker = marker_of(each)
            name = nearest(value, KINDS[marker.kind], MEMBERS.get(marker.kind)) if marker else None
            if name is not None:
                return f"write {{{key}: {name}}}"
    if value is True:
        return f"remove it for the default, or write {_yaml(model().model_dump())}"
    if path == ("data", "split") and isinstance(value, list) and len(value) in (2, 3):
        last = {"validation": value[1], "test": value[2] if len(value) == 3 else 0}
        return f"write {_yaml(last)}"
    return _for_mapping(str(path[-1]), list(model.model_fields), value)


def _is_line(value: Any) -> bool:
    return isinstance(value, str) and re.match(r"\w+:\s", value + " ") is not None


def _for_mapping(name: str, keys: Sequence[str], value: Any) -> str:
    if value is None:
        return f"indent its keys below {name}:, or, if there are none, remove {name}"
    if isinstance(value, list) and all(isinstance(each, Mapping) for each in value):
        return "remove the dashes before its keys"
    match = _SECTION.fullmatch(value) if isinstance(value, str) else None
    if match and (near := nearest(match[1] or match[3], keys)):
        return f"write {near}: {match[2] or match[4]}, with a space after the colon"
    return f"its keys are {', '.join(keys)}"


def _for_members(path: Key, field: Any, value: Any) -> str:
    marker = marker_of(member_field(field))
    assert marker is not None
    registry, (name,) = KINDS[marker.kind], path
    if isinstance(value, list) and value and all(isinstance(each, Mapping) for each in value):
        if all("name" in each for each in value):
            return f"write {_yaml({each['name']: _typed(registry, each) for each in value})}"
        return "remove the dashes before its keys"
    if path == ("inputs",) and isinstance(value, str) and value in _EVERYTHING:
        return "remove it; then every column that is not a target is an input, its type inferred"
    if value is None:
        return f"indent its keys below {name}:"
    if isinstance(value, str) and (match := _SECTION.fullmatch(value)):
        near = nearest(match[2] or match[4], registry, MEMBERS.get(registry.kind))
        if near is not None:
            return f"write {match[1] or match[3]}: {near}, with a space after the colon"
    names = value if isinstance(value, list) else [value]
    spelt = ", ".join(f"{each}: TYPE" for each in names)
    return f"write {{{spelt}}}, each TYPE one of {', '.join(registry)}"


def _typed(registry: Registry, given: Mapping[str, Any]) -> dict[str, Any]:
    """Turn an entry with its name inside into a member's choice."""
    name = str(given.get("type", "TYPE"))
    near = nearest(name, registry, MEMBERS.get(registry.kind)) or name
    rest = {key: value for key, value in given.items() if key not in ("name", "type")}
    return {"type": near, **rest}


def _for_list(field: Any, value: Any) -> str | None:
    """Put one value in brackets, or values that were written side by side."""
    form = _tuple_in(field.annotation)
    if form is None or isinstance(value, (Mapping, list, NoneType, bool)):
        return None
    default = field.get_default(call_default_factory=True)
    parts = re.split(r"[,\s]+", value.strip(" ,")) if isinstance(value, str) else [value]
    length = 0 if ... in get_args(form) else len(get_args(form))
    if default is None and length > 1 and len(parts) == 1:
        parts *= length  # [8, 8]: height and width
    if isinstance(default, tuple) and len(default) > 1 and len(parts) == 1:
        return f"write [{_yaml(value)}]" if ... in get_args(form) else f"write {_yaml(default)}"
    return f"write [{', '.join(map(_yaml, parts))}]"


def _tuple_in(annotation: Any) -> Any:
    """Return the form of a list in an annotation that takes no text."""
    branches = (annotation,) if get_origin(annotation) is tuple else get_args(annotation)
    found = next((each for each in branches if get_origin(each) is tuple), None)
    return None if str in branches else found


def _yaml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_yaml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


# Members without `type` -----------------------------------------------------------------------


def without_type(
    registry: Registry, path: Key, value: Any, data: Mapping[str, Any], found: Sequence[Level]
) -> str:
    """Say what was found where a member was to be chosen, and how it is."""
    given, choices = shown(value), f"expected {{type: {' | '.join(registry)}}}"
    if not isinstance(value, Mapping):
        near = _in_place_of(registry, path, value, data)
        return f"found {given}, {choices}" + (f"; {near}" if near else "")
    near = _from_keys(registry, value) or _default_type(path, data, found)
    return f"found {given} without `type`, {choices}" + (f"; {near}" if near else "")


def _in_place_of(registry: Registry, path: Key, value: Any, data: Mapping[str, Any]) -> str | None:
    if value is None and _is_before_type(path, data):
        return f"indent type below {path[-1]}:"
    nothing = MEMBERS.get(registry.kind, {}).get("none", ())
    if nothing and (value is None or value is False):
        return f"did you mean {nothing[0]!r}?"
    if registry.kind == "optimizer" and isinstance(value, float):
        return f"write {{learning_rate: {value}}}"
    if registry.kind == "head" and isinstance(value, (list, int)) and value is not True:
        return f"write {{hidden: {_yaml(value if isinstance(value, list) else [value])}}}"
    return None


def _is_before_type(path: Key, data: Mapping[str, Any]) -> bool:
    """Return whether a key without value has `type` beside it, below the key, instead of inside."""
    around = value_at(data, path[:-1])
    if not isinstance(around, Mapping) or path[-1] not in around:
        return False
    return "type" in list(around)[list(around).index(path[-1]) + 1 :]


def _from_keys(registry: Registry, value: Mapping[str, Any]) -> str | None:
    """Recognise the member by the given keys, or a key that means `type`."""
    for key in value:
        if nearest(str(key), ["type"], KEYS) is not None:
            return "did you mean 'type'?"
    if len(value) == 1:
        ((name, options),) = value.items()
        if name in registry and (options is None or isinstance(options, Mapping)):
            flat: dict[str, Any] = {"type": name, **(options or {})}
            return f"write {_yaml(flat)}"
    having = [
        name
        for name in registry.at_hand()
        if value and set(value) <= {option.name for option in read_options(registry, name)}
    ]
    if having and len(having) < len(registry) / 2:
        return f"{' and '.join(map(str, value))} belong{'s' * (len(value) == 1)} to {_or(having)}"
    return None


def _default_type(path: Key, data: Mapping[str, Any], found: Sequence[Level]) -> str | None:
    """Name the member that a key has if it is left out."""
    left = {key: value for key, value in data.items() if key != path[0]}
    level = next((each for each in levels(left, found[0].fields) if each.path == path), None)
    return f"the default is type: {level.name}" if level else None


def _or(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last
