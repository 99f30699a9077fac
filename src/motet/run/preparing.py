"""From a config to everything that training needs, with all checks before anything is written.

All problems are reported together, each at the key that caused it. `read_rows` needs no torch, so
mistakes in a config or its data are reported quickly.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from motet.config import Config, Member, Origin
from motet.config.collecting import Collector, read_on
from motet.config.places import with_absolute
from motet.config.schema import current
from motet.data.inference import Guess, infer_inputs, usable
from motet.data.inputs.base import Input
from motet.data.judged_rows import JudgedRows
from motet.data.notes import Notes
from motet.data.preprocessing import At, Preprocessing
from motet.data.row_names import RowName, named
from motet.data.selection import columns_beside, label_columns, listed, require_columns
from motet.data.sources import Source, as_source, rows_of
from motet.data.sources.files import Files
from motet.data.split_labels import lacking_labels, refuse_cut_groups
from motet.data.splits import Splits, split
from motet.data.targets import Target
from motet.options import create
from motet.problems import InputError, RowError
from motet.registry import AUXILIARY, INPUTS, LABELS, SOURCES, TASKS

ROW = "row"
"""Column of test predictions with the number of the row in the source, counted from 0."""


@dataclass(frozen=True)
class RunRows:
    """A config with explicit inputs, the table that it names, and its split."""

    config: Config
    origin: Origin
    source: Source
    table: pa.Table
    split: Splits
    guesses: tuple[Guess, ...]


@dataclass(frozen=True)
class Prepared:
    """Rows, and what was learned from the training rows about inputs and labels."""

    rows: RunRows
    preprocessing: Preprocessing
    inputs: dict[str, Any]
    """What the encoder takes, for all rows: a tree, see `motet.data.trees`."""
    targets: dict[str, NDArray[Any]]
    """What the losses take, for all rows."""
    weights: dict[str, NDArray[np.float32]]
    """How much each row counts, for all rows, of tasks whose rows have weights."""
    notes: tuple[str, ...] = ()
    """What users should know about the inputs and labels."""

    @property
    def config(self) -> Config:
        """The config, with its inputs spelled out."""
        return self.rows.config

    def table_of(self, split: str) -> pa.Table:
        """Return the raw rows of "train", "validation" or "test"."""
        return self.rows.table.take(pa.array(getattr(self.rows.split, split)))

    def labels(self, name: str) -> dict[str, NDArray[Any]]:
        """Return what the losses take of "train", "validation" or "test"."""
        rows = getattr(self.rows.split, name)
        return {task: encoded[rows] for task, encoded in self.targets.items()}

    def row_weights(self, name: str) -> dict[str, NDArray[np.float32]]:
        """Return the weights of the rows of "train", "validation" or "test"."""
        rows = getattr(self.rows.split, name)
        return {task: weights[rows] for task, weights in self.weights.items()}


def read_rows(
    config: str | Path | Mapping[str, Any] | Config,
    *,
    data: Any = None,
    overrides: Sequence[str] = (),
) -> RunRows:
    """Read a config and its data, and check that they match.

    Args:
        config: YAML file, mapping or `Config`.
        data: Rows to use instead of ``data.source``: whatever `motet.data.sources.read` takes.
        overrides: Changes such as ``"training.epochs=3"``.

    Returns:
        Config, table and split.

    Raises:
        ConfigError: If anything is wrong with the config or its data.
    """
    collector, found = read_on(config, overrides)
    source, table = None, None
    # a missing source is not reported if `data` is wrong: its key may be misspelt
    key = "source" if found.data.sources is None else "sources"
    named = data is not None or getattr(found.data, key) is not None
    if not named and any(each.key[0] not in Config.model_fields for each in collector.problems):
        collector.stop()
    with collector.at(*("data", key) if named else ("data",)):
        source = _source(found, collector.origin, data)
        table = rows_of(source)
    if table is None:
        collector.stop()
    assert source is not None
    assert table is not None
    splits = None
    with collector.at("data", "split"):
        splits = split_rows(found, table)
    used = {found.data.split.column} - {None}
    beside = {found.data.split.group, found.data.split.time} - {None}
    for name, task in found.tasks.items():
        if task.type in AUXILIARY:
            continue
        with collector.at("tasks", name):
            used |= set(label_columns(name, task.options(), table))
        with collector.at("tasks", name):
            beside |= set(columns_beside(name, task.options(), table))
        with collector.at("tasks", name):
            judged = JudgedRows.of(name, task.options())
            beside |= set(judged.columns)
            judged.holds(table)
    guesses: tuple[Guess, ...] = ()
    if found.inputs is None:
        train = None if splits is None else splits.train
        excluded = [str(column) for column in used | beside]
        guesses = tuple(infer_inputs(table, excluded, train, source.row_name))
        with collector.at("inputs"):
            found = _with_inputs(found, guesses)
    there = table.column_names
    weighted = {each.options().get("row_weight"): name for name, each in found.tasks.items()}
    for name, chosen in (found.inputs or {}).items():
        with collector.at("inputs", name):
            _check_input(name, chosen, table, there, used, weighted)
    collector.stop()
    assert splits is not None
    found = with_absolute(found, collector.origin.folder)
    return RunRows(found, collector.origin, source, table, splits, guesses)


def prepare(
    config: str | Path | Mapping[str, Any] | Config,
    *,
    data: Any = None,
    overrides: Sequence[str] = (),
) -> Prepared:
    """Read a config and its data, and fit the preprocessing on the training rows.

    Returns:
        What a model and its training need.

    Raises:
        ConfigError: If anything is wrong with the config or its data.
    """
    rows = read_rows(config, data=data, overrides=overrides)
    collector = Collector(rows.origin)
    train = rows.table.take(pa.array(rows.split.train))
    inputs: dict[str, Input] = {}
    for name, chosen in (rows.config.inputs or {}).items():
        with collector.at("inputs", name):
            inputs[name] = create(INPUTS, chosen.type, name, **chosen.options())
    targets: dict[str, Target] = {}
    chosen_tasks = rows.config.tasks
    for name, chosen in chosen_tasks.items():
        with collector.at("tasks", name):
            targets[name] = make_target(name, chosen)
    collector.stop()
    judged = {name: JudgedRows.of(name, each.options()) for name, each in chosen_tasks.items()}
    preprocessing = Preprocessing(inputs, targets, judged)
    name_row = rows.source.row_name
    preprocessing.fit(train, _counted_in(rows.split.train, name_row, collector))
    collector.stop()
    # every row of every split must be readable before training starts
    at = _counted_in(np.arange(len(rows.table)), name_row, collector)
    encoder_inputs, notes = preprocessing.apply(rows.table, at)
    labels = preprocessing.targets(rows.table, at)
    weights = preprocessing.weights(rows.table, labels, at)
    _check_named(rows.config, preprocessing, rows.table, name_row, collector)
    for task, encoded in labels.items():
        with collector.at("data", "split"):
            refuse_cut_groups(targets[task], encoded, rows.split, name_row)
    _check_predictions(targets, rows.table, collector)
    collector.stop()
    lacking = [
        note
        for task, encoded in labels.items()
        for note in lacking_labels(targets[task], encoded, rows.split)
    ]
    splits = replace(rows.split, notes=(*rows.split.notes, *lacking))
    seen = (*_input_notes(inputs, notes, rows), *preprocessing.notes)
    found = replace(rows, split=splits)
    return Prepared(found, preprocessing, encoder_inputs, labels, weights, seen)


def _input_notes(
    inputs: Mapping[str, Input], notes: Mapping[str, Notes], rows: RunRows
) -> Iterator[str]:
    """Yield the notes on inputs; what is true of all held-out rows has a separate note."""
    held_out = np.concatenate([rows.split.validation, rows.split.test])
    for name, found in notes.items():
        only = None
        if found.may_be_true_of_all(len(held_out)):
            only = inputs[name].apply(rows.table.take(pa.array(held_out)))[1]
        yield from found.lines(f"input {name!r}", only)


def _counted_in(rows: NDArray[np.int64], name_row: RowName, collector: Collector) -> At:
    """Name the row of an error by its number in the source, of which ``rows`` were read."""

    @contextmanager
    def at(section: str, name: str) -> Iterator[None]:
        with collector.at(section, name), named(name_row):
            try:
                yield
            except RowError as error:
                raise error.of(rows) from None

    return at


def _check_named(
    config: Config,
    preprocessing: Preprocessing,
    table: pa.Table,
    name_row: RowName,
    collector: Collector,
) -> None:
    """Report labels of any split that are not among the classes given."""
    for task in preprocessing.tasks:
        target, judged = preprocessing.target(task), preprocessing.judged(task, table)
        if config.tasks[task].options().get("classes") is None:
            continue
        with collector.at("tasks", task):
            rows = {label: target.first_row(judged, label) for label in target.unseen(judged)}
            if rows:
                strange = listed(
                    repr(label) if row is None else f"{label!r} in {name_row(row)}"
                    for label, row in rows.items()
                )
                raise InputError(
                    f"its labels have {strange}, not among its classes; correct the labels, or "
                    "remove classes to treat such labels as missing"
                )


def _check_predictions(
    targets: Mapping[str, Target], table: pa.Table, collector: Collector
) -> None:
    """Report tasks whose predictions would share a column name, or use that of row numbers."""
    owners: dict[str, str] = {}
    for task, target in targets.items():
        with collector.at("tasks", task):
            if ROW in target.prediction_names(table.column_names):
                raise InputError(
                    f"its predictions would have a column {ROW!r}, which is the number of the row "
                    "in predictions/test.parquet; give the task another name, and column: "
                    f"{target.columns(table.column_names)[0]}"
                )
    for task, target in targets.items():
        for column in target.prediction_names(table.column_names):
            with collector.at("tasks", task):
                if owners.setdefault(column, task) != task:
                    raise InputError(
                        f"its predictions and those of task {owners[column]!r} both have a column "
                        f"{column!r}; give the task another name, and column: "
                        f"{target.columns(table.column_names)[0]}"
                    )


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


def _source(config: Config, origin: Origin, data: Any) -> Source:
    chosen = config.data
    if data is not None:
        for key in ("source", "sources"):
            if getattr(chosen, key) is not None:
                raise InputError(f"found data from Python and data.{key}; remove one of them")
        return as_source(data)
    if chosen.source is not None:
        return Files(origin.folder, source=chosen.source)
    (member,) = (with_absolute(config, origin.folder).data.sources or {}).values() or (None,)
    if member is None:
        raise InputError("found no data; give data.source, or data= from Python")
    folder = (origin.folder,) if member.type == "files" else ()
    made: Source = create(SOURCES, member.type, *folder, **member.options())
    return made


def split_rows(config: Config, table: pa.Table) -> Splits:
    """Split the rows of a table as configured, and whole lists of rankings where nothing is."""
    chosen = config.data.split
    group, note = chosen.group, ""
    if (chosen.column, group, chosen.time) == (None, None, None):
        group = _query(config, table)
        note = f"the rows of each {group!r} are in one split, as a ranking compares them"
    found = split(
        table,
        validation=chosen.validation,
        test=chosen.test,
        seed=chosen.seed,
        column=chosen.column,
        train=chosen.train or "train",
        stratify=chosen.stratify,
        group=group,
        time=chosen.time,
        folds=chosen.folds,
        fold=chosen.fold,
        labels=_columns_of_labels(config, table),
    )
    return replace(found, notes=(note, *found.notes)) if group != chosen.group else found


def _query(config: Config, table: pa.Table) -> str | None:
    """Return the column of queries of the first ranking, if there is one."""
    columns = (task.options().get("query") for task in config.tasks.values())
    return next((each for each in columns if each in table.column_names), None)


def _columns_of_labels(config: Config, table: pa.Table) -> list[str]:
    """Name the label columns that are there; missing ones are reported elsewhere."""
    found: list[str] = []
    for name, task in config.tasks.items():
        if task.type not in AUXILIARY:
            with suppress(InputError):
                found += label_columns(name, task.options(), table)
    return found


def _with_inputs(config: Config, guesses: Sequence[Guess]) -> Config:
    # `config` may lack its invalid settings, which are reported already
    return current().model_validate({**config.model_dump(), "inputs": usable(guesses)})


def _check_input(
    name: str,
    chosen: Member,
    table: pa.Table,
    there: Sequence[str],
    used: set[str | None],
    weighted: Mapping[str | None, str],
) -> None:
    made: Input = create(INPUTS, chosen.type, name, **chosen.options())
    columns = made.columns(there)
    require_columns(table, columns, f"input {name!r}")
    for column in columns:
        if column in used:
            raise InputError(f"it reads {column!r}, which is a target or the split; remove it")
        if column in weighted:
            raise InputError(
                f"it reads {column!r}, which is the row_weight of task {weighted[column]!r}; "
                "remove it"
            )
