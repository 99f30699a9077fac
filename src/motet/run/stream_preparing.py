"""Rows larger than memory become encoded rows on disk, in two passes of constant memory.

The first pass learns from the training rows; the second encodes all rows and writes those of each
split into one file, in blocks. What was learned and counted, and an index with checksums, is the
last file written; without it, or if it is of other rows or another config, all is made again.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from weakref import finalize

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from motet.config.collecting import Collector
from motet.data.blocks import Blocks, Writer
from motet.data.digests import RowsDigest
from motet.data.fitting import At
from motet.data.notes import Notes, added
from motet.data.preprocessing import Preprocessing
from motet.data.sources import Source
from motet.data.split_labels import SPLITS
from motet.data.splits.streamed import Places
from motet.data.tallies import SplitTally
from motet.data.targets import Target
from motet.data.trees import take_rows
from motet.problems import InputError
from motet.processes import processes_of
from motet.run.prepared import ROW
from motet.run.row_checks import (
    check_named,
    check_predictions,
    counted_in,
    with_named_classes,
)
from motet.run.stream_prepared import Counted, PreparedStream, StreamRows, split_parts
from motet.run.unseen import Unseen
from motet.version import __version__
from motet.writing import replacing

INDEX = "index.json"


def prepare_stream(
    rows: StreamRows, preprocessing: Preprocessing, collector: Collector, cache: Path | None
) -> PreparedStream:
    """Learn from the rows and encode them, unless that is done.

    Args:
        rows: The rows.
        preprocessing: Inputs and targets, which have learned nothing yet.
        collector: Collects problems.
        cache: Folder of the encoded rows; one that goes with what is returned if None. Of several
            processes the first encodes the rows, and the others wait.

    Returns:
        The rows, encoded.

    Raises:
        ConfigError: If a row cannot be read, or there is nothing to learn.
        InputError: If another process could not encode the rows.
    """
    for task in preprocessing.tasks:
        with collector.at("tasks", task):
            _refuse_groups(preprocessing.target(task))
    collector.stop()
    processes = processes_of()
    folder = cache
    if folder is None:
        folder = processes.of_first(Path(tempfile.mkdtemp(prefix="motet-")))
    key = _key(rows)
    with processes.first_before_others():
        if processes.first:
            found = None if key is None else _read(folder, key)
            try:
                found = found or _encoded(rows, preprocessing, collector, folder, key)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
        else:
            found = _read(folder, key)
    if found is None:
        raise InputError("the first process could not encode the rows; see its message")
    counted, blocks = found
    learned = Preprocessing.from_json(counted.preprocessing)
    prepared = PreparedStream(rows, learned, blocks, counted)
    if cache is None:
        finalize(prepared, shutil.rmtree, folder, ignore_errors=True)
    return prepared


def _encoded(
    rows: StreamRows,
    preprocessing: Preprocessing,
    collector: Collector,
    folder: Path,
    key: str | None,
) -> tuple[Counted, dict[str, Blocks]]:
    """Learn from the rows and encode them; see `prepare_stream`."""
    with collector.at("data", "split"):
        _require_rows(rows)
    collector.stop()
    parts = _training_parts(rows, collector)
    preprocessing.fit_parts(rows.stream.schema.empty_table(), parts)
    collector.stop()
    return _Encoding(rows, preprocessing, collector).written(folder, key)


class _Encoding:
    """The second pass: encodes rows, writes them by split, and counts their labels."""

    def __init__(
        self, rows: StreamRows, preprocessing: Preprocessing, collector: Collector
    ) -> None:
        self._rows, self._preprocessing, self._collector = rows, preprocessing, collector
        self._targets = {task: preprocessing.target(task) for task in preprocessing.tasks}
        self._with_classes = with_named_classes(rows.config, rows.tasks)
        self._tallies: dict[str, SplitTally] = {}
        self._notes: dict[str, Notes] = {}
        self._held_out: dict[str, Notes] = {}  # those on validation and test rows alone
        self._labels: dict[str, RowsDigest] = {}
        self._unseen = {task: Unseen() for task in self._targets}

    def written(self, folder: Path, key: str | None) -> tuple[Counted, dict[str, Blocks]]:
        """Encode and write all rows.

        Args:
            folder: Where to; what is there is removed.
            key: What the rows depend on.

        Returns:
            What was counted, and the rows of each split.
        """
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        names = dict.fromkeys(self._targets, self._rows.stream.schema.names)
        check_predictions(self._targets, names, {ROW: "the number of the row"}, self._collector)
        self._collector.stop()
        count, splits = 0, RowsDigest()
        with ExitStack() as stack:
            writers = {split: stack.enter_context(Writer(folder / split)) for split in SPLITS}
            for first, table, places in split_parts(self._rows):
                splits.add(places.astype(np.int8))
                encoded = self._encoded(table, first, places)
                for place, split in enumerate(SPLITS):
                    self._write(split, writers[split], encoded, np.flatnonzero(places == place))
                count += len(table)
            blocks = {split: writer.finish() for split, writer in writers.items()}
        counted = Counted(
            self._preprocessing.to_json(),
            {split: self._tallies[split] for split in SPLITS if split in self._tallies},
            count,
            splits.hexdigest(),
            {task: each.hexdigest() for task, each in self._labels.items()},
            tuple(self._all_notes()),
        )
        index = {"key": key, "counted": counted.state()}
        index["blocks"] = {split: each.state() for split, each in blocks.items()}
        with replacing(folder / INDEX) as file:
            file.write_text(json.dumps(index), encoding="utf-8")
        return counted, blocks

    def _encoded(self, table: pa.Table, first: int, places: Places) -> dict[str, Any]:
        """Encode rows; ``first`` is the number of the first one, ``places`` are their splits."""
        rows, preprocessing = self._rows, self._preprocessing
        at = counted_in(np.arange(first, first + len(table)), rows.source, self._collector)
        inputs, notes = preprocessing.apply(table, at)
        labels = preprocessing.targets(table, at, rows.tasks)
        weights = preprocessing.weights(table, labels, at)
        check_named(self._with_classes, table, first, preprocessing, rows.source, self._collector)
        self._collector.stop()
        self._notes = added([self._notes, notes])
        self._note_held_out(notes, table.take(pa.array(np.flatnonzero(places))))
        name_row = partial(_named, rows.source, first)
        for task, encoded in labels.items():
            self._labels.setdefault(task, RowsDigest()).add(encoded)
            judged = preprocessing.judged(task, table)
            self._unseen[task].add(self._targets[task], judged, name_row)
        return {"inputs": inputs, "targets": labels, "weights": weights}

    def _note_held_out(self, notes: dict[str, Notes], rows: pa.Table) -> None:
        """Keep what is found in validation and test rows, where it may be true of all."""
        inputs = self._preprocessing.fitted_inputs
        for name, found in notes.items() if len(rows) else ():
            own = Notes(len(rows))
            if found.may_be_true_of_all(len(rows)):
                own = inputs[name].apply(rows)[1]
            self._held_out = added([self._held_out, {name: own}])

    def _write(
        self, split: str, writer: Writer, encoded: dict[str, Any], rows: NDArray[np.int64]
    ) -> None:
        if not len(rows):
            return
        own = take_rows(encoded, rows)
        writer.add(own, len(rows))
        tally = self._tallies.setdefault(split, SplitTally())
        tally.add(self._targets, own["targets"], own["weights"], len(rows))

    def _all_notes(self) -> Iterator[str]:
        for name, found in self._notes.items():
            yield from found.lines(f"input {name!r}", self._held_out.get(name))
        for task, unseen in self._unseen.items():
            if unseen.note:
                yield f"task {task!r}: {unseen.note}"


def _named(source: Source, first: int, row: int) -> str:
    return source.row_name(first + row)


def _training_parts(rows: StreamRows, collector: Collector) -> Iterator[tuple[pa.Table, At]]:
    """Yield the training rows in parts."""
    for first, table, places in split_parts(rows):
        own = np.flatnonzero(places == 0)
        if len(own):
            yield table.take(pa.array(own)), counted_in(own + first, rows.source, collector)


def _require_rows(rows: StreamRows) -> None:
    """Check that there are training and validation rows, and test rows where some are asked for."""
    counts = rows.split.counts(rows.stream)
    for count, split in zip(counts, SPLITS, strict=True):
        if not count and (split != "test" or rows.split.tests):
            raise InputError(
                f"found {sum(counts):,} rows, none of which is in the {split} split, as each is "
                "drawn by itself; expected more rows, a larger share, or another seed"
            )


def _refuse_groups(target: Target) -> None:
    if type(target).groups is not Target.groups:
        raise InputError(
            "it compares rows with each other, which a stream does not keep together; remove "
            "stream, or the task"
        )


def _key(rows: StreamRows) -> str | None:
    """Return what encoded rows depend on; None if that is unknown before they are read."""
    signature = rows.source.signature()
    if signature is None:
        return None
    config = rows.config.model_dump(mode="json", include={"data", "inputs", "tasks"})
    found = json.dumps([__version__, signature, config], sort_keys=True)
    return hashlib.blake2b(found.encode(), digest_size=16).hexdigest()


def _read(folder: Path, key: str | None) -> tuple[Counted, dict[str, Blocks]] | None:
    """Return encoded rows that are there; None if they are others, incomplete or damaged."""
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if index["key"] != key:
            return None
        blocks = {split: Blocks.of(folder / split, index["blocks"][split]) for split in SPLITS}
        found = Counted.of(index["counted"])
        for each in blocks.values():
            each.verify()
    except (OSError, ValueError, KeyError, TypeError, InputError):
        return None
    return found, blocks
