"""Reading the rows of a run: from one source, or from each of several."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pyarrow as pa

from motet.config import Config, Member
from motet.config.collecting import Collector
from motet.config.named_sources import sources_of as named_by
from motet.data.inference import Guess, infer_inputs
from motet.data.judged_rows import JudgedRows
from motet.data.selection import columns_beside, label_columns, require_columns
from motet.data.shared_groups import groups_apart
from motet.data.sources import Source, rows_of
from motet.data.sources.streams import RowStream
from motet.data.splits import Splits, split
from motet.data.splits.streamed import StreamSplit
from motet.problems import InputError, hint, owned
from motet.registry import AUXILIARY
from motet.row_hashes import row_hashes
from motet.run.given_sources import in_source
from motet.run.prepared import RunRows
from motet.run.renaming import renamed
from motet.run.stream_prepared import StreamRows
from motet.seeds import derive


class Given:
    """What inputs read of a source.

    Args:
        table: The rows.
        inputs: The inputs that have columns here.
    """

    def __init__(self, table: pa.Table, inputs: Sequence[str]) -> None:
        self.table, self.inputs = table, tuple(inputs)
        self.lacking: tuple[str, ...] = ()
        """Those of ``inputs`` whose columns are not there, and are missing in every row."""


class Reading:
    """Reads one source, and collects its problems at the keys that caused them.

    Args:
        config: The config.
        collector: Collects problems.
        source: The source.
        name: Its name; empty if it is the only one.
        place: The key of the source.
    """

    def __init__(
        self,
        config: Config,
        collector: Collector,
        source: Source,
        name: str,
        place: tuple[str, ...],
    ) -> None:
        self.config, self._collector = config, collector
        self.source, self.name = source, name
        named = bool(name) and config.data.sources is not None
        self.place = (*place, name) if named else place
        self.entry = (config.data.sources or {})[name] if named else None
        """What the config has about the source, if there are several."""
        self.tasks = [task for task, chosen in config.tasks.items() if self._serves(chosen)]
        self.table = pa.table({})
        self.splits: Splits | None = None
        self.stream: RowStream | None = None
        """The rows, if they are streamed; ``table`` then has none."""
        self.stream_split: StreamSplit | None = None
        self.used: set[str | None] = set()
        """Columns that are labels, or mark the split."""
        self.weighted: dict[str, str] = {}
        """Columns of weights of rows, with the task that has them."""
        self._beside: set[str | None] = set()

    def read(self) -> pa.Table | None:
        """Read the rows, or the columns alone where rows are streamed; None if that failed."""
        with self._collector.at(*self.place), in_source(self.name if not self.entry else ""):
            if self.config.data.streaming is not None:
                self.stream = self.source.stream()
                self.table = self._renamed(self.stream.schema.empty_table())
                return self.table
            table = rows_of(self.source)
            if not len(table):
                raise InputError("found no rows; expected at least one")
            self.table = self._renamed(table)
            return self.table
        return None

    def split(self) -> None:
        """Split the rows, and find the columns of labels."""
        chosen = self.config.data.split
        with self._collector.at("data", "split"), in_source(self.name):
            self._require_own_splits()
            if self.stream is not None:
                self.stream_split = stream_split(self.config, self.stream)
            else:
                self.splits = split_rows(self.config, self.table, self.name)
        self.used = {chosen.column} - {None}
        self._beside = {chosen.group, chosen.time} - {None}
        for task in self.tasks:
            options = self.config.tasks[task].options()
            if self.config.tasks[task].type in AUXILIARY:
                continue
            with self._collector.at("tasks", task), in_source(self.name):
                self.used |= set(label_columns(task, options, self.table))
            with self._collector.at("tasks", task), in_source(self.name):
                self._beside |= set(columns_beside(task, options, self.table))
            with self._collector.at("tasks", task), in_source(self.name):
                judged = JudgedRows.of(task, options)
                self._beside |= set(judged.columns)
                judged.holds(self.table)
            if (column := options.get("row_weight")) is not None:
                self.weighted[column] = task

    def _require_own_splits(self) -> None:
        """Refuse to draw splits of rows that are split already, and to learn from their names."""
        marks, chosen = self.source.split_column, self.config.data.split.column
        if marks is not None and chosen is None:
            raise InputError(
                f"missing; {self.source.title} is split already: expected {marks!r}, the column of "
                "the names of splits, or a list of the folders to read as one table",
                option="column",
            )

    def guesses(self) -> list[Guess]:
        """Guess the types of inputs from the training rows."""
        excluded = [str(column) for column in self.used | self._beside]
        if self.stream is not None and self.stream_split is not None:
            sample = sample_of(self.stream, self.stream_split)
            self.guessed = tuple(infer_inputs(sample, excluded, sampled=True))
            return list(self.guessed)
        train = None if self.splits is None else self.splits.train
        self.guessed = tuple(infer_inputs(self.table, excluded, train, self.source.row_name))
        return list(self.guessed)

    guessed: tuple[Guess, ...] = ()
    """What `guesses` found."""

    def stream_rows(self, config: Config, given: Given) -> StreamRows:
        """Return how rows are streamed, once nothing is wrong."""
        assert self.stream is not None
        assert self.stream_split is not None
        return StreamRows(
            config,
            self._collector.origin,
            self.source,
            self.stream,
            self.stream_split,
            self.guessed,
            given.inputs,
            self.tasks,
        )

    def rows(self, config: Config, given: Given) -> RunRows:
        """Return what was read, once nothing is wrong."""
        assert self.splits is not None
        return RunRows(
            config,
            self._collector.origin,
            self.source,
            self.table,
            self.splits,
            self.guessed,
            self.name,
            given.table,
            given.inputs,
            given.lacking,
            self.tasks,
        )

    def _serves(self, task: Member) -> bool:
        named = named_by(task)
        return not self.name or self.name in named or (not named and task.type in AUXILIARY)

    def _renamed(self, table: pa.Table) -> pa.Table:
        """Give columns the names that inputs know them by."""
        inputs = self.config.inputs or {}
        names: dict[str, str] = {}
        for name, column in (self.entry.columns if self.entry else {}).items():
            require_columns(table, [column], f"input {name!r}")
            chosen = inputs[name].options() if name in inputs else {}
            if chosen.get("columns") is not None:
                raise InputError(
                    f"input {name!r} reads several columns, and found {column!r} for it"
                )
            names[chosen.get("column") or name] = column
        return renamed(table, names)


def split_rows(config: Config, table: pa.Table, source: str = "") -> Splits:
    """Split the rows of a table as configured, and whole lists of rankings where nothing is.

    Args:
        config: The config.
        table: The rows.
        source: Name of the source that has them, where there are several; rows that lack the column
            to stratify by are then split without it.

    Returns:
        The splits.
    """
    chosen = config.data.split
    stratify = chosen.stratify
    if source and stratify is not None and stratify not in table.column_names:
        stratify = None
    group, note = chosen.group, ""
    if (chosen.column, group, chosen.time) == (None, None, None):
        group = _query(config, table, source)
        note = f"the rows of each {group!r} are in one split, as a ranking compares them"
    found = split(
        table,
        validation=chosen.validation,
        test=chosen.test,
        seed=chosen.seed,
        column=chosen.column,
        train=chosen.train or "train",
        stratify=stratify,
        group=group,
        time=chosen.time,
        folds=chosen.folds,
        fold=chosen.fold,
        labels=_columns_of_labels(config, table, source),
        calibration=chosen.calibration,
    )
    return replace(found, notes=(note, *found.notes)) if group != chosen.group else found


def stream_split(config: Config, stream: RowStream) -> StreamSplit:
    """Return how the rows of a stream are split, as configured."""
    chosen = config.data.split
    with owned("split"):
        return StreamSplit(
            stream,
            validation=chosen.validation,
            test=chosen.test,
            seed=chosen.seed,
            column=chosen.column,
            train=chosen.train or "train",
            group=chosen.group,
        )


def streamed_splits(config: Config, stream: RowStream) -> Splits:
    """Return the rows of the splits of a stream: 8 bytes for each row."""
    split, first = stream_split(config, stream), 0
    places = []
    for table in stream.tables(columns=split.columns or stream.schema.names[:1]):
        places.append(split.places(table, first).astype(np.int8))
        first += len(table)
    return Splits.of(np.concatenate(places), split.notes)


def sample_of(stream: RowStream, split: StreamSplit) -> pa.Table:
    """Return training rows to guess the types of inputs from: all of few, many of more."""
    least = (1 - SAMPLE / max(stream.count, 1)) * 2.0**64
    first, found = 0, []
    for table in stream.tables():
        chosen = split.places(table, first) == 0
        rows = np.arange(first, first + len(table))
        chosen &= row_hashes(rows, derive(0, "sample of rows to guess from")) >= least
        found.append(table.filter(pa.array(chosen)))
        first += len(table)
    return pa.concat_tables(found)


SAMPLE = 100_000
"""Number of rows, in the mean, from which types of inputs of a stream are guessed."""


def check_splits(config: Config, sources: Mapping[str, Reading], collector: Collector) -> None:
    """Check the splits of several sources against each other, and note groups that are cut.

    Args:
        config: The config.
        sources: The sources, each split by itself.
        collector: Collects problems.

    Raises:
        InputError: Collected, as all problems are.
    """
    chosen = config.data.split
    tables = {name: reading.table for name, reading in sources.items()}
    if chosen.stratify is not None:
        with collector.at("data", "split"):
            known = dict.fromkeys(name for table in tables.values() for name in table.column_names)
            if chosen.stratify not in known:
                raise InputError(
                    f"no source has the column {chosen.stratify!r}; {hint(chosen.stratify, known)}",
                    option="stratify",
                )
    splits = {name: each.splits for name, each in sources.items() if each.splits is not None}
    if chosen.group is None or len(splits) < len(sources):
        return
    for name, count in groups_apart(tables, splits, chosen.group).items():
        note = (
            f"{count:,} groups of {chosen.group!r} are in another split of another source, as each "
            "source is split by itself; to keep them together, mark the split of all rows in a "
            "column"
        )
        own = splits[name]
        sources[name].splits = replace(own, notes=(*own.notes, note))


def _query(config: Config, table: pa.Table, source: str) -> str | None:
    """Return the column of queries of the first ranking, if there is one."""
    tasks = [task for task in config.tasks.values() if not source or source in named_by(task)]
    columns = (task.options().get("query") for task in tasks)
    return next((each for each in columns if each in table.column_names), None)


def _columns_of_labels(config: Config, table: pa.Table, source: str) -> list[str]:
    """Name the label columns that are there; missing ones are reported elsewhere."""
    found: list[str] = []
    for name, task in config.tasks.items():
        if task.type not in AUXILIARY and (not source or source in named_by(task)):
            with suppress(InputError):
                found += label_columns(name, task.options(), table)
    return found


def merged_guesses(found: Mapping[str, Sequence[Guess]]) -> list[Guess]:
    """Merge what was guessed about the columns of several sources.

    Args:
        found: The guesses of each source.

    Returns:
        One guess per column.

    Raises:
        InputError: If a column seems to be of another type in another source.
    """
    merged: dict[str, tuple[str, Guess]] = {}
    for source, guesses in found.items():
        for guess in guesses:
            first, known = merged.setdefault(guess.column, (source, guess))
            if guess.type is None or guess.type == known.type:
                continue
            if known.type is None:
                merged[guess.column] = source, guess
                continue
            raise InputError(
                f"column {guess.column!r} seems to be a {known.type} in {first!r} ({known.reason}) "
                f"and a {guess.type} in {source!r} ({guess.reason}); name the inputs and their "
                "types"
            )
    return [guess for _, guess in merged.values()]
