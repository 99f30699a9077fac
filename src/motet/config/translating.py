"""What pydantic found wrong with a config, in the user's words."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from motet.config.navigating import keys_at, kind_at
from motet.config.origin import Key, Origin, Problem
from motet.config.schema import Config
from motet.problems import explain, hint, shown
from motet.registry import KINDS


def translated(error: ValidationError, data: Any, origin: Origin) -> list[Problem]:
    """Say what pydantic found in ``data`` in the user's words."""
    return _merged([_problem(dict(each), data, origin) for each in error.errors()])


def _merged(problems: Sequence[Problem]) -> list[Problem]:
    """Say once what all branches of a union say about a place; only what is deepest inside."""
    outer = {problem.key[:end] for problem in problems for end in range(len(problem.key))}
    merged: dict[tuple[Key, str], Problem] = {}
    for problem in problems:
        found, expected, fits = problem.message.partition(", expected ")
        same = merged.get((problem.key, found))
        if problem.key in outer:
            continue
        if same is not None and expected:
            problem = replace(same, message=f"{same.message} or {fits}")
        merged[problem.key, found] = problem
    return list(merged.values())


def path_of(error: Mapping[str, Any], data: Any) -> Key:
    """Keep of pydantic's location what the user wrote: no names of members or union branches."""
    loc = error["loc"]
    path: list[str | int] = []
    here: Any = data
    for index, part in enumerate(loc):
        if isinstance(here, Mapping) and part in here:
            here = here[part]
        elif isinstance(here, (list, tuple)) and isinstance(part, int):
            here = here[part] if part < len(here) else None
        elif index < len(loc) - 1 or error["type"] not in ("missing", "extra_forbidden"):
            continue
        path.append(part)
    return tuple(path)


def _problem(error: dict[str, Any], data: Any, origin: Origin) -> Problem:
    loc = error["loc"]
    path = path_of(error, data)
    kind = error["type"]
    if kind == "invalid_key" or loc[-1:] == ("[key]",):
        return _unquoted(error["input"], path, origin)
    if kind == "too_short" and path in (("tasks",), ("inputs",)):
        return origin.problem(path, f"found no {path[0][:-1]}, expected at least one")
    if kind == "extra_forbidden":
        known = keys_at(loc[:-1])
        return origin.problem(path, f"unknown key; {_elsewhere(str(loc[-1]), known)}", at_key=True)
    if kind == "missing":
        return origin.problem(path, "missing, but required", at_key=True)
    if kind == "union_tag_invalid":
        registry = KINDS[kind_at(loc)]
        name = error["ctx"]["tag"]
        message = f"found {name!r}, expected {registry.one}; {hint(str(name), registry)}"
        given_short = isinstance(error["input"], str) or not origin.document.values.get(
            (*path, "type")
        )
        return origin.problem(path if given_short else (*path, "type"), message)
    if kind == "union_tag_not_found":
        registry = KINDS[kind_at(loc)]
        found = shown(error["input"])
        if isinstance(error["input"], Mapping):
            found += " without `type`"
        return origin.problem(path, f"found {found}, expected {{type: {' | '.join(registry)}}}")
    if kind == "string_pattern_mismatch" and path[-1:] == ("device",):
        expected = "auto, cpu, cuda, cuda:N or mps"
        return origin.problem(path, f"found {shown(error['input'])}, expected {expected}")
    return origin.problem(path, explain(error))


def _unquoted(found: object, path: Key, origin: Origin) -> Problem:
    spelt = shown(found)
    outer = path[:-1] if path[-1:] == (found,) else path
    message = f"found the key {spelt}, expected a text; quote the key: {spelt!r}"
    return origin.problem((*outer, spelt), message, at_key=True)


def _elsewhere(name: str, known: Sequence[str]) -> str:
    """Hint at a near key here, else at the section that has the key, else list what is known."""
    if not get_close_matches(name, known, n=1):
        for section in ("data", "model", "training"):
            model = Config.model_fields[section].annotation
            if (
                isinstance(model, type)
                and issubclass(model, BaseModel)
                and name in model.model_fields
            ):
                return f"did you mean {section}.{name}?"
    return hint(name, known)
