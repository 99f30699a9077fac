"""Methods that follow from finished runs of others: distillation, and groups by affinity.

They are trained last. Until then a method of groups stands for one in which every task is alone,
which costs most; so an estimate with it holds whatever the groups will be.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from motet.analysis import groupings
from motet.analysis.certainty import Measurements, unsure_pairs
from motet.analysis.clusters import with_others
from motet.analysis.groupings import ENOUGH
from motet.comparing.methods import Method, Overrides, Unit
from motet.comparing.runs import Runs
from motet.config import Config
from motet.problems import InputError
from motet.run.suggesting import unsure_note
from motet.run.task_analysis import read_analysis

DISTILLED = "distilled"
GROUPS = "groups"
Groups = Sequence[Sequence[str]]


def distilled(teacher: Method, tasks: Sequence[str]) -> Method:
    """Return the config's model, taught by single-task models; see `motet.run.teachers`.

    Args:
        teacher: The single-task models.
        tasks: The tasks that can learn from a teacher.
    """
    what = "the config's model, which learns from the single-task models too (BAM)"
    return Method(DISTILLED, what, source=teacher, tasks=tuple(tasks))


def grouped(own: Method, config: Config, tasks: Sequence[str]) -> Method:
    """Return hard sharing within groups of tasks, which the affinity in finished runs suggests.

    Args:
        own: The config's model, whose runs measure affinity.
        config: The config, every default spelled out.
        tasks: The tasks that have groups.
    """
    what = "hard sharing within groups of tasks, which affinity suggests"
    alone = _sharing(config, [[task] for task in tasks])
    return Method(GROUPS, what, alone, source=own, tasks=tuple(tasks))


def why_ungrouped(config: Config, tasks: Sequence[str]) -> str:
    """Return why affinity cannot suggest groups; empty if it can.

    Args:
        config: The config, every default spelled out.
        tasks: The tasks that would have groups.
    """
    if len(tasks) < 3:
        return "fewer than three tasks: they share, or they do not"
    if config.model.sharing.options().get("groups"):
        return "the config has groups of its own"
    if _is_frozen(config):
        return "all that tasks share is frozen"
    analysis = config.training.analysis
    if analysis is None or analysis.get("affinity") == "none":
        return "training.analysis of the config measures no affinity; remove it for the default"
    return ""


def _is_frozen(config: Config) -> bool:
    training = config.training
    if training.unfreeze is not None:
        return False
    encoders = [each.options().get("encoder") for each in (config.inputs or {}).values()]
    pretrained = all(
        isinstance(each, Mapping) and each["type"] == "pretrained" and not each.get("adapter")
        for each in encoders
    )
    return "encoder" in training.freeze or ("pretrained" in training.freeze and pretrained)


def left_out(name: str, why: str) -> str:
    """Return the note about a method that is not trained."""
    return f"{name}: left out, {why}"


def completed(
    methods: Sequence[Method], config: Config, runs: Runs
) -> tuple[list[Method], list[str]]:
    """Complete methods by the finished runs that they follow from.

    Args:
        methods: The methods, each with a source.
        config: The config, every default spelled out.
        runs: The runs of all other methods.

    Returns:
        Those that can be trained, and notes about the others and about groups.
    """
    found, notes = [], []
    for method in methods:
        source = method.source
        assert source is not None
        if why := runs.why_failed(source):
            notes.append(left_out(method.name, f"{source.name} failed: {why}"))
            continue
        try:
            if method.name == DISTILLED:
                found.append(_taught(method, source, runs))
            else:
                grouped, unsure = _in_groups(method, source, config, runs)
                found.append(grouped)
                notes += unsure
        except InputError as error:
            notes.append(left_out(method.name, str(error)))
    return found, notes


def _taught(method: Method, source: Method, runs: Runs) -> Method:
    """Name the teachers of each repetition."""
    paths = {
        unit: [
            str(path.absolute())
            for part, path in zip(source.parts, runs.finals(source, unit), strict=True)
            if part is None or part[0] in method.tasks
        ]
        for unit in runs.units
    }
    further = {unit: (f"training.teachers={json.dumps(each)}",) for unit, each in paths.items()}
    return replace(method, further=further)


def _in_groups(
    method: Method, source: Method, config: Config, runs: Runs
) -> tuple[Method, list[str]]:
    """Find the groups: from all seeds together, but for each fold from its own runs.

    Returns:
        The method, and notes on what measurements cannot tell.

    Raises:
        InputError: If there are none.
    """
    groups: dict[Unit, Groups] = {}
    notes = []
    for unit in runs.units:
        units = runs.deciding(unit)
        if units[0] in groups:
            groups[unit] = groups[units[0]]
            continue
        measured = _affinity([path for each in units for path in runs.finals(source, each)])
        found = groupings(measured).groups
        groups[unit] = with_others(found, method.tasks)
        name = f"{method.name}, {unit.name}" if unit.kind == "fold" else method.name
        unsure = unsure_pairs(measured, found, enough=ENOUGH)
        notes += [f"{name}: {note}" for note in [unsure_note(unsure, measured)] if note]
    if all(len(each) == 1 for each in groups.values()):
        raise InputError("affinity suggests one group of all tasks")
    names = {"; ".join(", ".join(group) for group in each) for each in groups.values()}
    what = f"hard sharing within groups of tasks by affinity: {' or '.join(sorted(names))}"
    further = {unit: _sharing(config, each) for unit, each in groups.items()}
    return replace(method, what=what, overrides=(), further=further), notes


def _affinity(runs: Sequence[Path]) -> Measurements:
    """Return the mean affinity of tasks over runs."""
    found = [read_analysis(run).affinities for run in runs]
    known = [each for each in found if each is not None]
    if not known:
        raise InputError("the runs measured no affinity")
    return Measurements.joined(known)


def _sharing(config: Config, groups: Groups) -> Overrides:
    """Return the override that makes an encoder for each group."""
    if config.model.sharing.type == "hard":
        return (f"model.sharing.groups={json.dumps(groups)}",)
    return (f"model.sharing={json.dumps({'type': 'hard', 'groups': groups})}",)
