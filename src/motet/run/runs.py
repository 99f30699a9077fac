"""A finished run: predict, evaluate, and read its history."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from motet.config import Config
from motet.data.notes import Notes, added, note_lines
from motet.data.preprocessing import Preprocessing
from motet.data.selection import listed
from motet.data.sources import names_in, read
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.run import folder, saving
from motet.run.calibrating import (
    Calibration,
    calibrated,
    require_calibrated,
)
from motet.run.changes import Change, read_changes
from motet.run.chosen_tasks import chosen_tasks
from motet.run.given_rows import (
    ROWS_OF_TABLES,
    ROWS_OF_TEXTS,
    GivenRows,
    LabelledRows,
    Part,
)
from motet.run.more_columns import NOTHING, More, asked_for, more_columns
from motet.run.origin_rows import Fingerprint
from motet.run.readers import Reader, TableReader, batch_size_of
from motet.run.source_readers import SourcesReader
from motet.run.split_again import rows_of_split, seen_by
from motet.run.suggesting import By, Suggestion, suggest
from motet.run.task_analysis import TaskAnalysis, read_analysis
from motet.tasks import Prediction
from motet.tasks.scores import Trivial
from motet.training import History, Report
from motet.training.evaluation import embed
from motet.training.grouping import grouping
from motet.training.kept import Kept, Weights, evaluate_with, predict_with
from motet.training.memory import explaining_memory

if TYPE_CHECKING:
    from motet.run.exporting import Export


class Run:
    """A trained model with its preprocessing. Made by `motet.train` or `motet.load`."""

    def __init__(
        self,
        path: Path,
        config: Config,
        preprocessing: Preprocessing,
        model: MultiTaskModel,
        trivial: Trivial,
        kept: Kept | None = None,
    ) -> None:
        self.path = path
        """The run folder, or the model folder if there is no run folder."""
        self.config = config
        """The config, every default spelled out."""
        self.model = model
        """The model, with the weights of the best epoch."""
        kind = SourcesReader if preprocessing.sources else TableReader
        self.reader: Reader = kind(preprocessing, model)
        """How it reads rows."""
        self._trivial, self._kept = trivial, kept or {}
        self._notes: Mapping[str, Notes] = {}
        self._notes_on_intervals: tuple[str, ...] = ()
        self.calibration: Calibration | None = None
        """What `calibrate` learned, or training with ``calibrate: true``."""

    @property
    def history(self) -> History:
        """What happened in training, from ``metrics.jsonl``; empty if only the model is there."""
        return History.read(self.path / folder.METRICS)

    def report(self, path: str | Path | None = None, *, data: Any = None) -> Path:
        """Write a report on the run: one HTML page, which needs no network.

        Args:
            path: The file, which must not exist; ``report.html`` in the run folder, in place of an
                earlier one, if left out.
            data: The rows that the run was made from, if it got them from Python; the report then
                shows the inputs of the rows that are most wrong.

        Returns:
            Path of the file.

        Raises:
            InputError: If there is only a model, not a run folder, or the file cannot be written.
        """
        from motet.run.reporting import write_report

        return write_report([self.path], path, data=data)

    def export(
        self,
        format: Literal["onnx", "torch"],
        path: str | Path | None = None,
        *,
        tasks: Iterable[str] | None = None,
        rows: Any = None,
    ) -> "Export":
        """Write the model as a file for other programs, with what it needs of rows beside it.

        The file takes rows as `preprocess` returns them, any number of any length, and predicts in
        the units of the labels. Before it is kept, it predicts up to 1,000 rows and is compared
        with this run.

        Args:
            format: ``onnx``, or ``torch``, a program of ``torch.export``.
            path: The file, which must not exist; ``export/model.onnx`` or ``.pt2`` in the run
                folder, in place of an earlier one, if left out.
            tasks: Which tasks, or the name of one; all enabled ones if left out.
            rows: Rows to compare with, as for `predict`; those of the run's data if left out.

        Returns:
            The files, and how far the predictions are apart.

        Raises:
            InputError: If a part of the model cannot be exported, packages are missing, or there
                are no rows to compare with.
        """
        from motet.run.exporting import Origins, export

        of = Origins(self.path, self.config, self.reader)
        return export(of, self._chosen(tasks), format, path, rows)

    def analysis(self) -> TaskAnalysis:
        """Return how the gradients of the tasks agreed while training, from ``analysis.json``.

        Raises:
            InputError: If nothing was measured: tasks share no parameters, the run is not finished,
                its config has ``training.analysis: null``, or only the model is there.
        """
        return read_analysis(self.path)

    def changes(self) -> dict[str, Change]:
        """Return what this run changed for the tasks of the run that it started from, by task.

        Raises:
            InputError: If it did not start from another run's encoder, or is not finished.
        """
        return read_changes(self.path)

    def suggest_groups(self, number: int | None = None, *, by: By = "affinity") -> Suggestion:
        """Suggest which tasks should share a network, and write a config for it.

        Args:
            number: How many groups at most. If left out: by affinity, as few as reach 90 % of the
                highest value; by gradients, tasks are joined while their mean cosine is not below
                0.
            by: ``affinity`` searches the groups in which a step for one task lowers the losses of
                the others most (`motet.analysis.groupings`); ``gradients`` clusters tasks by the
                cosines of their gradients (`motet.analysis.cluster`).

        Returns:
            The groups, the pairs of tasks that might as well be grouped otherwise, as measurements
            vary, and the config of this run with ``model.sharing.groups``: its ``write`` makes a
            file of it.

        Raises:
            InputError: If the run measured no affinity, or too little for some pair of tasks.
        """
        return suggest(self.path, self.model.sharing, self.model.tasks.names, number, by)

    @property
    def notes(self) -> tuple[str, ...]:
        """What users should know about the rows last given, such as how many texts were cut off."""
        return (*note_lines(self._notes), *self._notes_on_intervals)

    def predict(
        self,
        data: Any,
        *,
        tasks: Iterable[str] | None = None,
        weights: Weights = "best",
        spread: bool = False,
        intervals: float | None = None,
    ) -> pa.Table:
        """Predict for rows, in their order.

        Args:
            data: A path of a CSV, Parquet, JSON lines or Arrow file, a frame, or whatever else
                holds rows; label columns may be absent.
            tasks: Which tasks, or the name of one; all enabled ones if left out.
            weights: Those of the best epoch; or after training with ``keep: each``, for ``each``
                task those with which it was best itself.
            spread: Whether to add how far members are apart, of an encoder that is an ensemble or
                of several runs that predict together: ``<column>_spread``, the standard deviation
                of each probability, or else of each number. Sequences have none.
            intervals: Share of rows, such as 0.9, whose truth is to be inside of intervals and
                sets that are added; the run must be calibrated, see `calibrate`. Numbers get
                ``<task>_low`` and ``<task>_high``, classes and labels ``<task>_set``, those that
                cannot be excluded. Of tasks that can have none, `notes` has the names.

        Returns:
            For each task ``<task>``, in the labels' own type and unit, and for each class
            ``<task>_probability_<class>``.

        Raises:
            InputError: If the data lack an input column, a task is unknown, disabled, or was added
                to the model after the run, there is no spread, or no interval at this level.
        """
        _, parts = self.predicted_parts(
            data, tasks=tasks, weights=weights, spread=spread, intervals=intervals
        )
        return pa.concat_tables(parts)

    def predicted_parts(
        self,
        data: Any,
        *,
        tasks: Iterable[str] | None = None,
        weights: Weights = "best",
        spread: bool = False,
        intervals: float | None = None,
    ) -> tuple[int, Iterator[pa.Table]]:
        """Predict for rows part by part, in constant memory; for the arguments, see `predict`.

        Returns:
            The number of rows, and the predictions of one part after the other.
        """
        chosen = self._chosen(tasks)
        more = asked_for(
            [self.model.tasks[name] for name in chosen],
            weights,
            spread,
            intervals,
            self.calibration,
            members=self._has_members,
            named=tasks is not None,
        )
        self._notes_on_intervals = more.notes
        given = self._given(data)
        return given.count, self._predicted(given, chosen, weights, more)

    def predict_arrays(
        self,
        inputs: dict[str, Any],
        tasks: Iterable[str] | None = None,
        *,
        rows: pa.Table | None = None,
    ) -> pa.Table:
        """Predict for preprocessed rows; see `predict`.

        Args:
            inputs: What `preprocess` returns.
            tasks: As for `predict`.
            rows: What was preprocessed; spans then have their positions in the text.

        Returns:
            Columns of predictions.
        """
        predictions = self._predictions(inputs, self._chosen(tasks))
        return self._columns(predictions, dict.fromkeys(predictions, rows), NOTHING)

    def evaluate(
        self,
        data: Any,
        *,
        tasks: Iterable[str] | None = None,
        split: Literal["train", "validation", "test", "calibration"] | None = None,
        weights: Weights = "best",
        source: str | None = None,
        step: Callable[[str], object] = lambda line: None,
    ) -> Report:
        """Compute every metric on labelled rows.

        Without ``split``, rows that the run was trained on are evaluated with a warning.

        Args:
            data: As for `predict`, with the label columns of at least one task.
            tasks: Which tasks, or the name of one; all enabled ones with label columns if left out.
            split: Which rows of the data that the run was trained on; all rows if left out.
            weights: As for `predict`.
            source: Name of the source that the rows are like, if the run has several; the one whose
                columns they have if left out.
            step: Called with a line about the rows done so far.

        Returns:
            ``{task: {metric: value, "loss": ..., "count": ...}, "score": mean normalised score}``;
            its ``notes`` name labels that training did not have.

        Raises:
            InputError: If the data lack an input column or the labels of a task asked for, or a
                split is asked for and the data differ from those of the run.
        """
        rows = self._labelled_rows(data, tasks, split, source, step)
        known = None if split else seen_by(self.path, rows)
        if known is not None:
            warnings.warn(self._trained_on(known), stacklevel=2)
        report = self._evaluated(rows, weights)
        self._notes = rows.notes
        self._require_labels(rows, [report[task]["count"] for task in rows.tasks])
        for task, unseen in rows.unseen.items():
            if unseen.note:
                report.notes[task] = unseen.note
        return report

    def calibrate(
        self,
        data: Any,
        *,
        tasks: Iterable[str] | None = None,
        split: Literal["validation", "calibration", "test"] | None = None,
        source: str | None = None,
        step: Callable[[str], object] = lambda line: None,
    ) -> Calibration:
        """Calibrate on labelled rows that did not train the model, and keep that in its folder.

        Afterwards logits of classes are divided by a temperature, fitted on these rows, and
        `predict` can add intervals and sets. Tasks without labels in the rows stay as they are.
        With ``keep: each`` this is of the best weights; those of each task predict without it.

        Args:
            data: As for `evaluate`.
            tasks: As for `evaluate`.
            split: As for `evaluate`. Validation rows also chose the epoch, so what is learned from
                them is a little too sure. Of calibration rows come the intervals and sets alone;
                temperatures are fitted on those of validation, as in training.
            source: As for `evaluate`.
            step: As for `evaluate`.

        Returns:
            What was learned.

        Raises:
            InputError: If the data cannot be read, some of the rows trained the model, or no task
                can be calibrated.
        """
        chosen = self._chosen(tasks)
        require_calibrated([self.model.tasks[name] for name in chosen], named=tasks is not None)
        rows = self._labelled_rows(data, tasks, split, source, step)
        known = None if split else seen_by(self.path, rows)
        if known is not None:
            other = ", or --split validation (split='validation' in Python)"
            raise InputError(
                f"the run was trained on {known.train:,} of these {known.rows:,} rows, which "
                f"cannot calibrate it; use others{'' if self._of_folds else other}"
            )
        fitted = None
        if split == "calibration":
            fitted = self._labelled_rows(data, tasks, "validation", source, step)
        found = self._calibrated(rows, fitted, split or "given")
        self._require_labels(rows, [each.rows for each in found.tasks.values()])
        self.use_calibration(found.with_others_of(self.calibration))
        assert self.calibration is not None
        saving.save_calibration(self.path, self.calibration)
        self._notes = rows.notes
        return found

    @staticmethod
    def _require_labels(rows: LabelledRows, counts: Iterable[int]) -> None:
        if not any(counts):
            raise InputError(
                f"no row has a label of {listed(rows.tasks)} that training knew; expected some "
                "rows with labels, or use predict"
            )

    def use_calibration(self, calibration: Calibration) -> None:
        """Predict with a calibration from now on."""
        self.calibration = calibration
        calibration.use(self.model.tasks)

    def _calibrated(
        self, rows: LabelledRows, fitted: LabelledRows | None, source: str
    ) -> Calibration:
        """Compute scores of rows, and temperatures of these or of others."""
        size = self.reader.batch_size(rows.source)
        with explaining_memory("the calibration", partial(_little_else, size)):
            if fitted is None:
                return calibrated(self.model, rows, batch_size=size, source=source)
            return calibrated(self.model, fitted, rows, batch_size=size, source=source)

    def _labelled_rows(
        self,
        data: Any,
        tasks: Iterable[str] | None,
        split: str | None,
        source: str | None,
        step: Callable[[str], object],
    ) -> LabelledRows:
        """Return rows with labels of some tasks."""
        given = self._given(data)
        columns = given.schema.empty_table()
        chosen, found = self.reader.labelled(columns, self._chosen(tasks), source)
        names = self.reader.view(columns, found).column_names
        there = [task for task in chosen if self._has_labels(task, names)]
        if len(there) < len(chosen) and (tasks is not None or not there):
            missing = [task for task in chosen if task not in there]
            raise InputError(
                f"the data have no labels for {listed(missing)}; expected their columns, "
                f"found {listed(names)}"
            )
        if grouping(self.model.tasks[task] for task in there):
            given = given.at_once()  # rows that belong together may be anywhere
        rows = LabelledRows(self.reader, given, there, found, step)
        return rows if split is None else rows.taken(self._rows_of(data, rows, split))

    def _rows_of(self, data: Any, rows: LabelledRows, split: str) -> NDArray[np.int64]:
        return rows_of_split(self.path, self.config, data, rows, split)

    def _has_labels(self, task: str, names: Sequence[str]) -> bool:
        target = self.reader.preprocessing.target(task)
        return any(name in names for name in target.columns(names))

    def preprocess(self, data: Any, source: str | None = None) -> dict[str, Any]:
        """Turn rows into the arrays that ``run.model`` takes.

        Args:
            data: As for `predict`.
            source: The source whose inputs are read, if the run has several.

        Returns:
            "numbers", float32 (N, n), and "categories", int64 (N, c); "sets" and
            "texts", by input, in rows of different length (`motet.data.ragged.Ragged`). None for
            an input that the source lacks.

        Raises:
            InputError: If the data lack an input column, or a source is needed and not named.
        """
        found = self.reader.only(source)
        view = self.reader.view(self._read(data), found)
        inputs, self._notes = self.reader.inputs(names_in(data), view, found)
        return inputs

    def embed(self, data: Any, *, task: str | None = None) -> NDArray[np.float32]:
        """Compute the representation that the heads read, one vector per row.

        Args:
            data: As for `predict`.
            task: Whose representation; needed if tasks have their own, as with experts, or are of
                several sources.

        Returns:
            float32, shape (N, D), rows in order.

        Raises:
            InputError: If the data lack an input column, or tasks have their own representations
                and none is chosen.
        """
        chosen, table = self._chosen(task), self._read(data)
        source, *others = dict.fromkeys(self.reader.served(table, chosen).values())
        if others:
            raise InputError(
                f"tasks read the inputs of the sources {' and '.join([source, *others])}; choose "
                f"a task: task={chosen[0]!r}, for example"
            )
        view = self.reader.view(table, source)
        inputs, self._notes = self.reader.inputs(names_in(data), view, source)
        rows, size = self.reader.data(inputs, {}), batch_size_of(inputs)
        with explaining_memory("the forward pass", partial(_little_else, size)):
            return embed(self.model, rows, batch_size=size, tasks=chosen).numpy()

    def _trained_on(self, known: Fingerprint) -> str:
        return (
            f"the run was trained on {known.train:,} of these {known.rows:,} rows, so the metrics "
            "are too good for new ones; use --split test (split='test' in Python)"
        )

    def _predicted(
        self, given: GivenRows, tasks: list[str], weights: Weights, more: More
    ) -> Iterator[pa.Table]:
        """Predict one part of the rows after the other."""
        for part in given:
            found, noted = self._predicted_part(part, tasks, weights, more)
            self._notes = added([self._notes if part.first else {}, noted])
            yield found

    def _predicted_part(
        self, part: Part, tasks: list[str], weights: Weights, more: More
    ) -> tuple[pa.Table, Mapping[str, Notes]]:
        """Predict each task from the inputs of its source."""
        served = self.reader.served(part.table, tasks)
        found: dict[str, Prediction] = {}
        notes: dict[str, Notes] = {}
        views = {}
        for source in dict.fromkeys(served.values()):
            view = views[source] = self.reader.view(part.table, source)
            inputs, noted = self.reader.inputs(part.name_row, view, source)
            own = [task for task in tasks if served[task] == source]
            found |= self._predictions(inputs, own, weights)
            notes |= noted
        tables = {task: views[served[task]] for task in tasks}
        return self._columns(found, tables, more), notes

    def _columns(
        self,
        predictions: Mapping[str, Prediction],
        tables: Mapping[str, pa.Table | None],
        more: More,
    ) -> pa.Table:
        """Return columns of predictions, each task's with the rows that it was predicted from."""
        preprocessing, columns = self.reader.preprocessing, dict[str, pa.Array]()
        for task, table in tables.items():
            found = predictions[task]
            known = None if found.probabilities is None else found.probabilities.numpy()
            columns |= preprocessing.predictions(task, found.value.numpy(), known, table)
        added_to = more_columns(more, predictions, self.model, preprocessing, columns)
        return pa.table(columns | added_to)

    @property
    def _has_members(self) -> bool:
        return self.model.members is not None

    @property
    def _of_folds(self) -> bool:
        """Whether every row of the data trained a part of it."""
        return False

    def _evaluated(self, rows: LabelledRows, weights: Weights) -> Report:
        size = self.reader.batch_size(rows.source)
        with explaining_memory("the evaluation", partial(_little_else, size)):
            return evaluate_with(
                weights, self._kept, self.model, rows, batch_size=size, trivial=self._trivial
            )

    def _predictions(
        self, inputs: dict[str, Any], tasks: list[str], weights: Weights = "best"
    ) -> dict[str, Prediction]:
        data, size = self.reader.data(inputs, {}), batch_size_of(inputs)
        with explaining_memory("the prediction", partial(_little_else, size)):
            return predict_with(weights, self._kept, self.model, data, batch_size=size, tasks=tasks)

    def _given(self, data: Any) -> GivenRows:
        preprocessing = self.reader.preprocessing
        size = ROWS_OF_TEXTS if preprocessing.shapes().own else ROWS_OF_TABLES
        return GivenRows.of(data, preprocessing.strings, size)

    def _read(self, data: Any) -> pa.Table:
        return read(data, strings=self.reader.preprocessing.strings)

    def _chosen(self, tasks: str | Iterable[str] | None) -> list[str]:
        return chosen_tasks(self.model, self.config, tasks)


def _little_else(size: int) -> list[str]:
    return [f"with less else in memory, as only {size:,} rows are computed at a time"]
