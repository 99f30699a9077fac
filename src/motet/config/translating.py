"""Pydantic's errors about a config, in the user's words."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ValidationError

from motet.config.key_hints import key_hint
from motet.config.levels import Level, levels
from motet.config.navigating import keys_at, kind_at
from motet.config.origin import Key, Origin, Problem
from motet.config.value_hints import value_at, value_hint, without_type
from motet.limits import PROBLEMS
from motet.options.explaining import explain
from motet.problems import InputError, shown
from motet.registry import KINDS


def translated(
    error: ValidationError, data: Mapping[str, Any], origin: Origin, root: type[BaseModel]
) -> list[Problem]:
    """Return what pydantic found in ``data`` in the user's words.

    Args:
        error: What pydantic raised.
        data: The config as it was given.
        origin: Where it came from.
        root: The model of a config.

    Returns:
        One problem for each place.
    """
    found = levels(data, root.model_fields)
    errors = error.errors()
    explained = [_problem(dict(each), data, found, origin, root) for each in errors[:PROBLEMS]]
    problems = _merged(explained)
    if len(errors) > PROBLEMS:
        problems.append(origin.problem((), f"{len(errors) - PROBLEMS:,} more problems"))
    return problems


def _merged(problems: Sequence[Problem]) -> list[Problem]:
    """Join the problems of all branches of a union at a place; keep the innermost places."""
    outer = {problem.key[:end] for problem in problems for end in range(len(problem.key))}
    merged: dict[tuple[Key, str], Problem] = {}
    for problem in problems:
        found, expected, fits = problem.message.partition(", expected ")
        same = merged.get((problem.key, found))
        if problem.key in outer:
            continue
        if same is not None and expected:
            before, _, near = same.message.partition("; ")
            fits, _, nearer = fits.partition("; ")
            ends = f"; {near or nearer}" if near or nearer else ""
            problem = replace(same, message=f"{before} or {fits}{ends}")
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


def _problem(
    error: dict[str, Any],
    data: Mapping[str, Any],
    found: Sequence[Level],
    origin: Origin,
    root: type[BaseModel],
) -> Problem:
    loc = error["loc"]
    path = path_of(error, data)
    kind = error["type"]
    if kind == "invalid_key" or loc[-1:] == ("[key]",):
        return _unquoted(error["input"], path, data, origin)
    if kind == "too_short" and path in (("tasks",), ("inputs",)):
        return origin.problem(path, f"found no {path[0][:-1]}, expected at least one")
    if kind == "extra_forbidden":
        near = key_hint(path, error["input"], found, keys_at(root, loc[:-1]))
        return origin.problem(path, f"unknown key; {near}", at_key=True)
    if kind == "missing":
        return origin.problem(path, "missing, but required", at_key=True)
    if kind == "union_tag_invalid":
        registry = KINDS[kind_at(root, loc)]
        name = str(error["ctx"]["tag"])
        message = f"found {name!r}, expected {registry.one}; {registry.hint(name)}"
        return origin.problem((*path, "type") if origin.gave((*path, "type")) else path, message)
    if kind == "union_tag_not_found":
        registry = KINDS[kind_at(root, loc)]
        return origin.problem(path, without_type(registry, path, error["input"], data, found))
    raised = error.get("ctx", {}).get("error")
    if isinstance(raised, InputError):
        return origin.problem((*path, *raised.key), raised.message)
    if kind == "string_pattern_mismatch" and path[-1:] == ("device",):
        message = f"found {shown(error['input'])}, expected auto, cpu, cuda, cuda:N or mps"
    else:
        message = explain(error)
    better = value_hint(path, error["input"], found) if path and kind != "value_error" else None
    message = f"{message.partition('; ')[0]}; {better}" if better else message
    return origin.problem(path, message)


def _unquoted(found: object, path: Key, data: Any, origin: Origin) -> Problem:
    spelt = shown(found)
    outer = path[:-1] if path[-1:] == (found,) else path
    around = value_at(data, outer)
    alone = isinstance(around, Mapping) and around.get(found, found) is None
    if alone and isinstance(found, (int, float)):  # as in {a: 0,01}
        message = f"found {spelt} alone; write lists in brackets, and decimals with a point"
        return origin.problem((*outer, spelt), message, at_key=True)
    message = f"found the key {spelt}, expected a text; quote the key: {spelt!r}"
    return origin.problem((*outer, spelt), message, at_key=True)
