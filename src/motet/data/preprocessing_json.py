"""The JSON text of what inputs and targets have learned: strict, without NaN, paths or code."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from motet.data.inputs.base import Input
from motet.data.judged_rows import JudgedRows
from motet.data.members import Members
from motet.data.targets import Target
from motet.problems import MALFORMED, InputError, reason
from motet.registry import INPUTS, LABELS

_VERSION = 1


class Learned(NamedTuple):
    """What a text holds."""

    members: Members
    strings: tuple[str, ...]
    """See `motet.data.preprocessing.Preprocessing.strings`, and `sources`."""
    sources: dict[str, Any]


def write(learned: Learned) -> str:
    """Return what was learned as strict JSON.

    Raises:
        InputError: If the state of an input or target is not JSON.
    """
    members = learned.members
    inputs = {
        name: _written(f"input {name!r}", INPUTS.name_of(type(each)), each.state())
        for name, each in members.inputs.items()
    }
    targets = {
        task: _written(f"task {task!r}", LABELS.name_of(type(target)), target.state())
        for task, target in members.targets.items()
    }
    content: dict[str, Any] = {
        "version": _VERSION,
        "strings": list(learned.strings),
        "inputs": inputs,
        "targets": targets,
    }
    if members.rules:
        content["judged"] = {task: each.state() for task, each in members.rules.items()}
    if learned.sources:
        content["sources"] = learned.sources
    return json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def read(text: str) -> Learned:
    """Return what `write` wrote.

    Raises:
        InputError: If the text is something else, or of a later version.
    """
    try:
        content = json.loads(text)
        version = content["version"]
        if version != _VERSION:
            raise InputError(
                f"the preprocessing has the format version {version}, expected {_VERSION}; use "
                "the version of motet that wrote it"
            )
        inputs = {name: _loaded(name, each) for name, each in content["inputs"].items()}
        targets: dict[str, Target] = {}
        for task, each in content["targets"].items():
            targets[task] = LABELS[each["type"]](task)
            targets[task].load(each["state"])
        rules = {task: JudgedRows(task, **each) for task, each in content.get("judged", {}).items()}
        members = Members(inputs, targets, rules)
        return Learned(members, tuple(content["strings"]), content.get("sources", {}))
    except InputError:
        raise
    except MALFORMED as error:
        raise InputError(
            f"the preprocessing is not what motet writes ({reason(error)}); "
            "use the preprocessing.json of a model folder, unchanged"
        ) from None


def _written(where: str, member: str, state: dict[str, Any]) -> dict[str, Any]:
    """Return what is written of an input or target, once JSON is known to hold it."""
    try:
        json.dumps(state, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{where}: state() of {member} returned what JSON cannot hold ({reason(error)}); "
            "convert arrays with tolist(), and write None instead of NaN"
        ) from None
    return {"type": member, "state": state}


def _loaded(name: str, content: Mapping[str, Any]) -> Input:
    made: Input = INPUTS[content["type"]](name)
    made.load(content["state"])
    return made
