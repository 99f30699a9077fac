"""All options of a config, from its JSON Schema: what an editor checks, as tables."""

import json
import re
from collections.abc import Iterator
from typing import Any

from motet.config import json_schema
from motet.options import summary
from motet.registry import KINDS

Schema = dict[str, Any]
FORMS = tuple("{kind}_" + form + "{name}" for form in ("stage_", "", "namedsource_", "startable_"))
"""Names of a member's definition; the first that exists has all of its options."""


def markdown() -> str:
    """Return sections, members by kind, and mappings."""
    schema = json_schema()
    definitions = schema["$defs"]
    keys = _keys(schema)
    for _, each in keys:
        for name in _references(each):
            each.setdefault("description", definitions[name].get("description", ""))
    top = [f"| [`{key}`](#{_slug(key)}) | {_text(each)} |" for key, each in keys]
    sections = ["| section | |\n|---|---|\n" + "\n".join(top)]
    for key, each in keys:
        tables = list(_tables(each, definitions))
        values = "" if tables else f"\n\nValues: {_values(each)}"
        sections += [f"## {key}\n\n{_text(each)}{values}", *tables]
    for kind in KINDS:
        sections += _members(kind, definitions)
    mappings = [name for name in definitions if name[0].isupper() and name not in _SECTIONS]
    sections.append("## Mappings that options take")
    for name in mappings:
        form = definitions[name]
        sections.append(f"### {name}\n\n{form.get('description', '')}\n\n{_table(_keys(form))}")
    return "\n\n".join(sections)


_SECTIONS = ("DataConfig", "ModelConfig", "TrainingConfig", "TuningConfig")


def _tables(schema: Schema, definitions: dict[str, Schema]) -> Iterator[str]:
    """Yield the table of a section that is a mapping with keys of its own."""
    for name in _references(schema):
        if name in _SECTIONS:
            yield _table(_keys(definitions[name]))


def _members(kind: str, definitions: dict[str, Schema]) -> list[str]:
    """Return the tables of all members of a kind, after what they have in common."""
    registry = KINDS[kind]
    forms = {}
    for name in registry:
        plain = re.sub(r"[^\w.-]", "_", name)  # as pydantic names definitions
        places = (each.format(kind=kind, name=plain) for each in FORMS)
        found = next((each for each in places if each in definitions), None)
        if found:
            forms[name] = dict(_keys(definitions[found]))
    if not forms:
        return []
    first, *others = forms.values()
    shared = {key: each for key, each in first.items() if all(o.get(key) == each for o in others)}
    sections = [f"## {registry.plural.replace('_', ' ').capitalize()}"]
    if shared and others:
        sections.append(f"Options of each of them:\n\n{_table(shared.items())}")
    else:
        shared = {}
    for name, keys in forms.items():
        own = [(key, each) for key, each in keys.items() if key not in shared]
        table = _table(own) if own else "No options of its own."
        sections.append(f"### {kind} {name}\n\n{summary(registry, name)}\n\n{table}")
    return sections


def _keys(schema: Schema) -> list[tuple[str, Schema]]:
    needed = schema.get("required", ())
    return [
        (key, {**each, "needed": key in needed})
        for key, each in schema.get("properties", {}).items()
        if key != "type"
    ]


def _table(keys: Any) -> str:
    rows = [f"| `{key}` | {_values(each)} | {_text(each)} |" for key, each in keys]
    return "\n".join(["| key | values | meaning |", "|---|---|---|", *rows])


def _text(schema: Schema) -> str:
    return _escaped(" ".join(schema.get("description", "").split()))


def _values(schema: Schema) -> str:
    found = _escaped(_kinds(schema))
    if schema.get("needed"):
        return f"{found}; **required**"
    default = schema.get("default")
    if default is None or isinstance(default, dict):
        return found
    return f"{found}; default `{_escaped(json.dumps(default))}`"


def _kinds(schema: Schema) -> str:
    """Describe the values that a schema takes."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{_slug(name)})"
    if chosen := _chosen(schema):
        return chosen
    if "anyOf" in schema or "oneOf" in schema:
        found = [_kinds(each) for each in schema.get("anyOf", schema.get("oneOf"))]
        return ", or ".join(dict.fromkeys(each for each in found if each != "`null`"))
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{each}`" for each in schema.get("enum", [schema.get("const")]))
    kind = schema.get("type", "any value")
    if kind == "array":
        return f"list of {_kinds(schema.get('items', {}))}"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"mapping to {_kinds(values)}" if isinstance(values, dict) else "mapping"
    return _KINDS.get(kind, kind) + _bounds(schema)


_KINDS = {
    "integer": "whole number",
    "boolean": "`true`, `false`",
    "string": "text",
    "null": "`null`",
}
_BOUNDS = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}


def _bounds(schema: Schema) -> str:
    return "".join(f" {sign} {schema[key]:g}" for key, sign in _BOUNDS.items() if key in schema)


def _chosen(schema: Schema) -> str | None:
    """Describe a member that is chosen by name; None if it is something else."""
    members = [each for each in _references(schema) if each[0].islower()]
    if not members or schema.get("type") in ("object", "array"):
        return None
    kind = next(each for each in KINDS if members[0].startswith(each + "_"))
    heading = KINDS[kind].plural.replace("_", "-")
    return f"[{KINDS[kind].one}](#{heading}) by name, or with options"


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"].rpartition("/")[2]
        for key, each in schema.items():
            if key in ("anyOf", "oneOf", "items", "additionalProperties"):
                yield from _references(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from _references(each)


def _slug(heading: str) -> str:
    return re.sub(r"\W+", "-", heading.lower())


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
