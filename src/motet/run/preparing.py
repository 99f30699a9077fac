"""From a config to everything that training needs, with all checks before anything is written.

All problems are reported together, each at the key that caused it. `read_rows` needs no torch, so
mistakes in a config or its data are reported quickly.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from motet.config import Config, Member
from motet.config.collecting import Collector, read_on
from motet.config.places import with_absolute
from motet.config.schema import current
from motet.data.fitting import Observed
from motet.data.inference import Guess, usable
from motet.data.inputs.base import Input
from motet.data.judged_rows import JudgedRows
from motet.data.notes import Notes
from motet.data.preprocessing import Preprocessing
from motet.data.sources import Source
from motet.data.split_labels import refuse_cut_groups
from motet.data.targets import Target
from motet.options import create, label_kind_of
from motet.problems import InputError
from motet.registry import INPUTS, LABELS, TASKS
from motet.run.given_sources import in_source, sources_of, wrong_given
from motet.run.prepared import (
    ROW,
    SOURCE,
    AnyPrepared,
    Prepared,
    PreparedSources,
    RunRows,
)
from motet.run.reading import Reading, check_splits, merged_guesses
from motet.run.row_checks import (
    check_named,
    check_predictions,
    counted_in,
    with_named_classes,
)
from motet.run.settling import Chosen, settle
from motet.run.source_inputs import choose_inputs
from motet.run.starting import started, with_learned
from motet.run.starts import Start
from motet.run.stream_prepared import StreamRows

OWN_SPACES = {
    "text": "generates texts, with a vocabulary of its own",
    "identity": "learns an embedding, with axes of its own",
}
"""Kinds of labels of tasks whose models of several folds cannot be combined, and why."""


def read_rows(
    config: str | Path | Mapping[str, Any] | Config,
    *,
    data: Any = None,
    overrides: Sequence[str] = (),
) -> RunRows:
    """Read a config and its data in memory, and check that they match.

    Args:
        config: YAML file, mapping or `Config`.
        data: Rows to use instead of ``data.source``: whatever `motet.data.sources.read` takes.
        overrides: Changes such as ``"training.epochs=3"``.

    Returns:
        Config, table and split.

    Raises:
        ConfigError: If anything is wrong with the config or its data.
        InputError: If the config streams them.
    """
    found = read_sources(config, data=data, overrides=overrides)
    if isinstance(found, StreamRows):
        raise InputError("found data.stream; expected rows in memory", option="data.stream")
    return found[0]


def read_sources(
    config: str | Path | Mapping[str, Any] | Config,
    *,
    data: Any = None,
    overrides: Sequence[str] = (),
    settled: bool = False,
) -> Sequence[RunRows] | StreamRows:
    """Read a config and the data of all its sources, and check that they match.

    Args:
        config: As for `read_rows`.
        data: As for `read_rows`, or of several sources: `motet.data.Sources`, or a mapping of the
            names that tasks give as ``source`` to such rows.
        overrides: As for `read_rows`.
        settled: Whether the config is that of a run, which leaves nothing to the data.

    Returns:
        Config, table and split of each source; most runs have one. If rows are streamed, what reads
        them.

    Raises:
        ConfigError: If anything is wrong with the config or its data.
        InputError: Collected, as all problems are.
    """
    collector, found = read_on(config, overrides)
    starts: tuple[Start, ...] = ()
    if not collector.problems:
        with collector.at("from_run"):
            folder = collector.origin.folder
            found, starts = started(found, folder, folder if settled else None)
    before = found.model_dump(exclude_unset=True)
    sources: dict[str, Source] | None = None
    # a missing source is not reported if `data` is wrong: its key may be misspelt
    key = "source" if found.data.sources is None else "sources"
    named = data is not None or getattr(found.data, key) is not None
    if not named and any(each.key[0] not in Config.model_fields for each in collector.problems):
        collector.stop()
    place: tuple[str, ...] = ("data", key) if named else ("data",)
    with collector.at(*place):
        sources = sources_of(found, collector.origin, data)
    if sources is None:
        collector.stop()
    assert sources is not None
    for at, message in [] if data is None else wrong_given(found, sources):
        with collector.at(*at):
            raise InputError(message)
    if data is not None:
        collector.stop()
    reading = {
        name: Reading(found, collector, source, name, place) for name, source in sources.items()
    }
    tables = [each.read() for each in reading.values()]
    if None in tables:
        collector.stop()
    if len(reading) > 1 and found.data.split.folds is not None:
        with collector.at("data", "split", "folds"):
            raise InputError("folds of several sources are not supported; remove folds")
    if found.data.split.folds is not None and found.data.split.fold is None:
        with collector.at("data", "split", "folds"):
            _refuse_own_spaces(found)
    for each in reading.values():
        each.split()
    if len(reading) > 1:
        check_splits(found, reading, collector)
    if found.inputs is None:
        guesses = {name: each.guesses() for name, each in reading.items()}
        with collector.at("inputs"):
            found = _with_inputs(found, guesses)
    given = choose_inputs(found, collector, reading)
    collector.stop()
    chosen: Chosen = ()
    if not settled:
        found, chosen = settle(found, before, reading.values(), collector)
    found = with_absolute(found, collector.origin.folder)
    if found.data.streaming is not None:
        (one,) = reading.values()
        return replace(one.stream_rows(found, given[one.name]), chosen=chosen, starts=starts)
    rows = [each.rows(found, given[name]) for name, each in reading.items()]
    return [replace(each, chosen=chosen, starts=starts) for each in rows]


def _refuse_own_spaces(config: Config) -> None:
    """Refuse tasks whose predictions by models of several folds mean different things."""
    for name, task in config.tasks.items():
        kind = label_kind_of(task.type)
        if kind in OWN_SPACES and task.options().get("enabled") is not False:
            raise InputError(
                f"task {name!r} {OWN_SPACES[kind]} in each fold, so that the models of folds "
                "cannot be combined; remove folds, or train one of them, for example fold: 1"
            )


def prepare(
    config: str | Path | Mapping[str, Any] | Config,
    *,
    data: Any = None,
    overrides: Sequence[str] = (),
    cache: Path | None = None,
    settled: bool = False,
) -> AnyPrepared:
    """Read a config and its data, and fit the preprocessing on the training rows.

    Args:
        config: As for `read_rows`.
        data: As for `read_sources`.
        overrides: As for `read_rows`.
        cache: Folder of the encoded rows, if they are streamed; one that goes with what is returned
            if left out.
        settled: As for `read_sources`.

    Returns:
        What a model and its training need.

    Raises:
        ConfigError: If anything is wrong with the config or its data.
    """
    sources = read_sources(config, data=data, overrides=overrides, settled=settled)
    if isinstance(sources, StreamRows):
        from motet.run.stream_preparing import prepare_stream  # needs torch

        collector = Collector(sources.origin)
        made = with_learned(members_of(sources.config, collector), sources.starts)
        return prepare_stream(sources, made, collector, cache)
    collector = Collector(sources[0].origin)
    preprocessing = with_learned(members_of(sources[0].config, collector), sources[0].starts)
    targets = {task: preprocessing.target(task) for task in preprocessing.tasks}
    for name, target in targets.items():
        with collector.at("tasks", name):
            _require_one_source(target, [rows.name for rows in sources if name in rows.tasks])
    collector.stop()
    preprocessing.fit_all([_training_rows(rows, collector) for rows in sources])
    collector.stop()
    parts = {rows.name: _applied(rows, preprocessing, collector) for rows in sources}
    for rows in sources:
        with_classes = with_named_classes(rows.config, rows.tasks)
        check_named(with_classes, rows.table, 0, preprocessing, rows.source, collector, rows.name)
        for task, encoded in parts[rows.name].targets.items():
            with collector.at("data", "split"), in_source(rows.name):
                refuse_cut_groups(targets[task], encoded, rows.split, rows.source.row_name)
    columns = {task: rows.table.column_names for rows in sources[::-1] for task in rows.tasks}
    kept = {ROW: "the number of the row"}
    if len(sources) > 1:
        kept[SOURCE] = "the name of the source"
    check_predictions(targets, columns, kept, collector)
    collector.stop()
    if len(parts) == 1:
        (one,) = parts.values()
        return replace(one, notes=(*one.notes, *preprocessing.notes))
    preprocessing.sources = {rows.name: rows.fed for rows in sources}
    return PreparedSources(parts, preprocessing.notes)


def members_of(found: Config, collector: Collector) -> Preprocessing:
    """Create the inputs and targets of a config, which have learned nothing yet.

    Returns:
        The preprocessing.

    Raises:
        ConfigError: If an option is wrong.
    """
    inputs: dict[str, Input] = {}
    for name, chosen in (found.inputs or {}).items():
        with collector.at("inputs", name):
            inputs[name] = create(INPUTS, chosen.type, name, **chosen.options())
    targets: dict[str, Target] = {}
    for name, chosen in found.tasks.items():
        with collector.at("tasks", name):
            targets[name] = make_target(name, chosen)
    collector.stop()
    judged = {name: JudgedRows.of(name, each.options()) for name, each in found.tasks.items()}
    return Preprocessing(inputs, targets, judged)


def _require_one_source(target: Target, names: Sequence[str]) -> None:
    """Refuse several sources where rows are grouped by numbers that each source has by itself."""
    if len(names) > 1 and type(target).groups is not Target.groups:
        raise InputError(
            f"found {', '.join(names)}, which number their queries by themselves; expected one "
            "source; join their files into one, or give each source a task",
            option="source",
        )


def _training_rows(rows: RunRows, collector: Collector) -> Observed:
    train = pa.array(rows.split.train)
    at = counted_in(rows.split.train, rows.source, collector, rows.name)
    labelled = rows.table.take(train)
    given = labelled if rows.given is rows.table else rows.given.take(train)
    return Observed(given, labelled, rows.inputs, rows.tasks, at)


def _applied(rows: RunRows, preprocessing: Preprocessing, collector: Collector) -> Prepared:
    """Encode all rows: those of every split must be readable before training starts."""
    at = counted_in(np.arange(len(rows.table)), rows.source, collector, rows.name)
    inputs, notes = preprocessing.apply(rows.given, at, rows.inputs)
    labels = preprocessing.targets(rows.table, at, rows.tasks)
    weights = preprocessing.weights(rows.table, labels, at)
    seen = tuple(_input_notes(preprocessing.fitted_inputs, notes, rows))
    return Prepared(rows, preprocessing, inputs, labels, weights, seen)


def _input_notes(
    inputs: Mapping[str, Input], notes: Mapping[str, Notes], rows: RunRows
) -> Iterator[str]:
    """Yield the notes on inputs; what is true of all held-out rows has a separate note."""
    split = rows.split
    held_out = np.concatenate([split.validation, split.test, split.calibration])
    for name, found in notes.items():
        only = None
        if found.may_be_true_of_all(len(held_out)):
            only = inputs[name].apply(rows.given.take(pa.array(held_out)))[1]
        yield from found.lines(f"input {name!r}", only)


def make_target(name: str, task: Member) -> Target:
    """Create the target of a task, which encodes its label columns, not fitted yet."""
    member = TASKS[task.type]
    labels = member.label_kind_of(task.options()).name
    if labels not in LABELS:
        raise InputError(
            f"type: {task.type} has labels of the kind {labels!r}, and no target of that name is "
            f"registered; call motet.register('label', {labels!r}, ...) with a "
            "motet.data.targets.Target"
        )
    kind: type[Target] = LABELS[labels]
    return kind.for_task(name, task.options(), member.accepted())


def _with_inputs(config: Config, guesses: Mapping[str, Sequence[Guess]]) -> Config:
    # `config` may lack its invalid settings, which are reported already
    found = merged_guesses(guesses)
    return current().model_validate({**config.model_dump(), "inputs": usable(found)})
