"""How inputs and targets learn from the training rows: of one source, of several, or in parts.

Errors of an input or a task are raised in the context that the `At` of its source returns.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

import pyarrow as pa

from motet.data.inputs.base import Input
from motet.data.label_samples import LabelSample
from motet.data.members import Members
from motet.data.row_folders import together
from motet.data.selection import require_columns
from motet.data.sources.uniting import unite
from motet.data.targets.base import NO_INPUTS, Target
from motet.data.values import is_list
from motet.problems import InputError, owned

At = Callable[[str, str], AbstractContextManager[None]]
"""Returns the context in which an input or a target is fitted."""


def raising(section: str, name: str) -> AbstractContextManager[None]:
    """Let errors pass, with the name of the input or task."""
    return owned(f"{section.removesuffix('s')} {name!r}")


class Observed(NamedTuple):
    """Training rows of one source, and which inputs and tasks read them."""

    rows: pa.Table
    """What inputs read."""
    labelled: pa.Table
    """The same rows, as tasks read them: with their labels."""
    inputs: Collection[str]
    tasks: Collection[str]
    at: At = raising
    """Called with ("inputs", name) or ("tasks", name): a context that may collect errors."""


def fit_sources(members: Members, sources: Sequence[Observed]) -> tuple[str, ...]:
    """Let inputs and targets learn from the training rows of several sources.

    Inputs learn from all sources that have them, in order, and so do tasks.

    Args:
        members: Inputs and targets, which are fitted in place.
        sources: The training rows of each.

    Returns:
        The columns that they read and that held texts, or lists.
    """
    strings: dict[str, None] = {}
    for each in sources:
        strings |= dict.fromkeys(_strings_in(members, each))
    fitted = sum(
        members.is_fitted("inputs", name) or _learned(name, given, sources)
        for name, given in members.inputs.items()
    )
    inputs = members.inputs if fitted == len(members.inputs) else NO_INPUTS
    for task, target in members.targets.items():
        own = [each for each in sources if task in each.tasks]
        tables = [each.labelled for each in own]
        own = [each._replace(labelled=members.judged(task, each.labelled)) for each in own]
        table, at = _united(target, own, inputs)
        with at("tasks", task):  # without words, a text may just have failed
            members.require_some(task, any(members.holds(task, each) for each in tables))
            members.fit(task, table, inputs)
    return tuple(strings)


class FittedParts(NamedTuple):
    """What was found in training rows that came in parts."""

    strings: tuple[str, ...]
    """The columns that are read and that held texts, or lists."""
    sampled: tuple[str, ...]
    """Notes of tasks that learned from a sample."""


def fit_parts(
    members: Members, empty: pa.Table, parts: Iterable[tuple[pa.Table, At]]
) -> FittedParts:
    """Let inputs and targets learn from training rows that come in parts.

    Targets learn from all labels of few rows, and from a random sample of many.

    Args:
        members: Inputs and targets, which are fitted in place.
        empty: The columns, without rows.
        parts: The training rows in order, each part with what collects its errors.

    Returns:
        What was found in the rows.
    """
    names = empty.column_names
    read = Observed(empty, empty, members.inputs, members.targets)
    strings = tuple(_strings_in(members, read))
    learners = {task: _learner(members, task, names) for task in members.targets}
    learning = {n: e for n, e in members.inputs.items() if not members.is_fitted("inputs", n)}
    seen, count = dict.fromkeys(learning, 0), 0
    at: At = raising
    for table, at in parts:  # the last is used below
        for name, each in learning.items():
            if seen[name] == count:  # it had no error before
                with at("inputs", name):
                    each.observe(table)
                    seen[name] += 1
        for task, learner in learners.items():
            with at("tasks", task):
                learner.add(members.judged(task, table), members.holds(task, table))
        count += 1
    finished = len(members.inputs) - len(learning)
    for name, each in learning.items():
        if seen[name] == count:
            with at("inputs", name):
                each.finish()
                finished += 1
    inputs = members.inputs if finished == len(members.inputs) else NO_INPUTS
    sampled: tuple[str, ...] = ()
    for task, learner in learners.items():
        with at("tasks", task):
            members.require_some(task, learner.holding)
            members.fit(task, learner.table(), inputs)
            sampled += learner.notes(f"task {task!r}")
    return FittedParts(strings, sampled)


def strings_of(table: pa.Table, columns: Iterable[str]) -> tuple[str, ...]:
    """Return those of some columns that are texts in formats that have no lists."""
    known = dict.fromkeys(columns)
    return tuple(name for name in known if _is_spelt(table[name].type))


def _is_spelt(kind: pa.DataType) -> bool:
    inner = kind.value_type if is_list(kind) else kind
    return bool(pa.types.is_string(inner) or (is_list(kind) and pa.types.is_integer(inner)))


def _learner(members: Members, task: str, names: Sequence[str]) -> LabelSample:
    target = members.targets[task]
    columns = [*target.columns(names), *target.beside]
    if target.reads_inputs:
        columns += [name for each in members.inputs.values() for name in each.columns(names)]
    return LabelSample(columns, distinct=target.distinct)


def _strings_in(members: Members, source: Observed) -> list[str]:
    """Return the columns of texts among those that are read, which must be there."""
    rows, labelled = source.rows, source.labelled
    read = {name: members.inputs[name].columns(rows.column_names) for name in source.inputs}
    there = labelled.column_names
    predicted = {task: members.targets[task].columns(there) for task in source.tasks}
    if rows is labelled:
        _refuse_leaks(read, predicted)
    columns = [name for names in read.values() for name in names]
    labels = [name for names in predicted.values() for name in names]
    labels += [c for task in source.tasks for c in members.beside(task)]
    if rows is labelled:
        columns, labels = [*columns, *labels], []
    require_columns(rows, columns, "inputs and tasks")
    require_columns(labelled, labels, "tasks")
    return list(dict.fromkeys([*strings_of(rows, columns), *strings_of(labelled, labels)]))


def _learned(name: str, given: Input, sources: Sequence[Observed]) -> bool:
    """Let an input learn from all sources that have it; return whether it could."""
    seen, finished = 0, False
    own = [each for each in sources if name in each.inputs]
    for each in own:
        with each.at("inputs", name):
            given.observe(each.rows)
            seen += 1
    with own[-1].at("inputs", name):
        if seen == len(own):
            given.finish()
            finished = True
    return finished


def _united(
    target: Target, sources: Sequence[Observed], inputs: Mapping[str, Input]
) -> tuple[pa.Table, At]:
    """Return the rows that a task learns from: those of its source, or what its sources share."""
    labels = target.columns(sources[0].labelled.column_names)
    if len(sources) == 1 or not labels:
        return sources[0].labelled, sources[0].at
    shared = set.intersection(*(set(each.labelled.column_names) for each in sources))
    more = {*target.beside, *(c for each in inputs.values() for c in each.columns(()))}
    names = list(dict.fromkeys([*labels, *sorted(more & shared)]))
    tables = {f"source {n + 1}": e.labelled.select(names) for n, e in enumerate(sources)}
    with owned(f"task {target.name!r}"):
        found = unite(tables)
    folder = together(each.labelled.schema for each in sources)
    return found.replace_schema_metadata(folder), sources[0].at


def _refuse_leaks(
    read: Mapping[str, tuple[str, ...]], predicted: Mapping[str, tuple[str, ...]]
) -> None:
    for task, labels in predicted.items():
        for name, columns in read.items():
            both = [column for column in columns if column in labels]
            if both:
                raise InputError(
                    f"input {name!r} reads the column {both[0]!r}, which task {task!r} "
                    "predicts; remove it from the inputs"
                )
