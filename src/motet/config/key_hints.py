"""Finds where a key belongs that is unknown where it was given.

A key may be spelt otherwise, be called something else elsewhere, belong one level deeper or higher,
or be an option of another member. All levels of the config are searched for it; of what fits, the
nearest is named, so that the proposal works when it is typed.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from motet.config.levels import Level, levels, marker_of, near
from motet.config.origin import Key
from motet.other_names import KEYS, MEMBERS, NOT_IN_CONFIGS, NOTES, plain
from motet.problems import nearest
from motet.registry import INPUTS, KINDS

_SECTIONS = ("training", "model", "data", "tasks", "inputs", "balancing")
"""The likelier levels, for a key that fits several."""
_GLUED = re.compile(r"([A-Za-z_][\w-]*)\s*[=:\s]\s*(\S.*)")
"""A key and its value, without the colon and space between them."""
_HERE, _BELOW, _ELSEWHERE = range(3)


def key_hint(path: Key, value: Any, found: Sequence[Level], known: Sequence[str]) -> str:
    """Suggest what an unknown key may have meant.

    Args:
        path: Where it was given, itself included.
        value: What was given for it.
        found: The levels of the config.
        known: The keys that are known there.

    Returns:
        The end of a message.
    """
    parent, name = path[:-1], str(path[-1])
    found = near(found, parent)
    here = next((level for level in found if level.path == parent), None)
    alike = None if here else nearest(name, known, KEYS)  # of a form that has no level
    hints = (
        alike and repr(alike),
        _glued(name, known),
        _nested(name, value),
        _member(here, name, value),
        NOTES.get(plain(name)),
        _named(found, parent, name, (_HERE, _BELOW)),
        _alike(found, parent, name, (0.8, 0.8, 2)),
        _named(found, parent, name, (_ELSEWHERE,)),
        NOT_IN_CONFIGS.get(plain(name)),
        None if parent else _of_inputs_left_out(found, name),
        _of_another_member(found, parent, name),
        _alike(found, parent, name, (0.6, 0.75, 0.85)),
        _of_inputs_left_out(found, name),
    )
    best = next(filter(None, hints), None)
    if best is None and value is None:
        return "it has no value; write a list in brackets"
    if best is None:
        return f"known: {', '.join(known)}" if known else "none is known"
    return best if " " in best else f"did you mean {best}?"


def _glued(name: str, known: Sequence[str]) -> str | None:
    """Recognise a key and its value without the colon between them, as in ``{epochs=3}``."""
    match = _GLUED.fullmatch(name)
    key = nearest(match[1], known) if match else None
    return f"write {key}: {match[2]}, with a colon and a space" if match and key else None


def _nested(name: str, value: Any) -> str | None:
    """Recognise a key that is spelt as on the command line, as in ``training.epochs: 3``."""
    if "." not in name.strip(".") or not all(name.split(".")):
        return None
    nested = value if isinstance(value, (bool, int, float, str)) else "..."
    for part in reversed(name.split(".")):
        nested = f"{{{part}: {nested}}}" if part != name.partition(".")[0] else f"{part}: {nested}"
    return f"keys of a file are nested: write {nested}"


def _member(here: Level | None, name: str, value: Any) -> str | None:
    """Recognise the name of a member where the key that chooses it is missing."""
    for key, field in (here.fields if here else {}).items():
        marker = marker_of(field)
        if marker is None:
            continue
        members, others = KINDS[marker.kind], MEMBERS.get(marker.kind, {})
        if name in members:
            return f"write {key}: {{type: {name}, ...}}"
        chosen = value.get("type") if isinstance(value, Mapping) else value
        if plain(name) in ("type", "name") and isinstance(chosen, str):
            spelt = {plain(member) for member in members}
            if plain(chosen) in spelt or plain(chosen) in others:
                return _spelt((*(here.path if here else ()), key))
    return None


def _named(
    found: Sequence[Level], parent: Key, name: str, relations: tuple[int, ...]
) -> str | None:
    """Find the nearest key that is spelt the same but for signs, or that goes by this name."""
    names = [plain(name), *map(plain, KEYS.get(plain(name), ()))]
    ranked = []
    for level in found:
        relation = _relation(parent, level.path)
        for key in level.fields:
            fits = plain(key) in names and (key != "type" or relation == _HERE)
            if fits and relation in relations:
                rank = (relation, names.index(plain(key)), _preference(level.path, key))
                ranked.append((rank, level, key))
    if not ranked:
        return None
    _, level, key = min(ranked, key=lambda each: each[0])
    return _place(parent, level, key)


def _alike(
    found: Sequence[Level], parent: Key, name: str, least: tuple[float, float, float]
) -> str | None:
    """Find the key that looks most like this one: at least so much here, below and elsewhere."""
    ranked = []
    for level in found:
        relation = _relation(parent, level.path)
        for key in level.fields:
            ratio = SequenceMatcher(None, plain(name), plain(key)).ratio()
            if ratio >= least[relation]:
                ranked.append((ratio - 0.1 * relation, level, key))
    if not ranked:
        return None
    _, level, key = max(ranked, key=lambda each: each[0])
    return _place(parent, level, key)


def _of_another_member(found: Sequence[Level], parent: Key, name: str) -> str | None:
    """Find members other than those chosen that have the key."""
    names = [name, *KEYS.get(plain(name), ())]
    for wanted in names:
        for level in sorted(found, key=lambda each: _relation(parent, each.path)):
            if level.marker is None or wanted == "type":
                continue
            having = list(_having(level, wanted))
            if having and level.path == parent:
                return (
                    f"it is an option of {_or(having)}; {level.name} has "
                    f"{', '.join(level.fields)}; remove it, or choose another type"
                )
            if having:
                return f"did you mean {_spelt((*level.path, wanted))}, with type: {_or(having)}?"
    return None


def _having(level: Level, key: str) -> Iterator[str]:
    assert level.marker is not None
    for name in KINDS[level.marker.kind].at_hand():
        if key in level.with_type(name).fields:
            yield name


def _of_inputs_left_out(found: Sequence[Level], name: str) -> str | None:
    """Find a key among the options of inputs that the config does not list."""
    if any(level.path[:1] == ("inputs",) for level in found):
        return None
    for kind in INPUTS:
        for level in levels({"inputs": {"NAME": kind}}, found[0].fields):
            for wanted in (name, *KEYS.get(plain(name), ())):
                if level.path[:1] == ("inputs",) and wanted in level.fields and wanted != "type":
                    return f"did you mean {_spelt((*level.path, wanted))}, of a {kind} input?"
    return None


def _relation(parent: Key, path: Key) -> int:
    if path == parent:
        return _HERE
    return _BELOW if path[: len(parent)] == parent else _ELSEWHERE


def _preference(path: Key, key: str) -> tuple[int, int]:
    first = str(path[0]) if path else key
    return _SECTIONS.index(first) if first in _SECTIONS else len(_SECTIONS), len(path)


def _place(parent: Key, level: Level, key: str) -> str:
    """Spell a key as a message names it: alone if it belongs here, else with where it belongs."""
    if level.path == parent:
        return repr(key)
    spelt = _spelt((*level.path, key))
    if level.path[:1] == ("tasks",) and parent[:1] != ("tasks",):
        return f"did you mean {spelt}, and the same for each task?"
    return spelt


def _spelt(path: Key) -> str:
    return ".".join(map(str, path))


def _or(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last
