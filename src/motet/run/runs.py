"""A finished run: predict, evaluate, and read its history."""

import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from motet.config import Config
from motet.data.arrays import ArrayData
from motet.data.batches import Data
from motet.data.notes import Notes, added, note_lines
from motet.data.preprocessing import Preprocessing
from motet.data.row_names import RowName, named
from motet.data.selection import listed
from motet.data.sources import as_source, names_in, read, stream_of
from motet.model import MultiTaskModel
from motet.model.checks import names_of
from motet.problems import InputError, hint
from motet.run import folder, saving
from motet.run.calibrating import (
    Calibration,
    calibrated,
    calibrated_predictions,
    require_calibrated,
    with_intervals,
)
from motet.run.given_rows import (
    ROWS_OF_TABLES,
    ROWS_OF_TEXTS,
    GivenRows,
    LabelledRows,
    Part,
)
from motet.run.origin_rows import Fingerprint, read_fingerprint, rows_of
from motet.run.reading import split_rows, streamed_splits
from motet.run.suggesting import By, Suggestion, suggest
from motet.run.task_analysis import TaskAnalysis, read_analysis
from motet.tasks import Prediction
from motet.tasks.scores import Trivial
from motet.training import History, Report
from motet.training.evaluation import embed
from motet.training.grouping import grouping
from motet.training.kept import Kept, Weights, evaluate_with, predict_with
from motet.training.memory import explaining_memory


class More(NamedTuple):
    """What is added to predictions."""

    spread: bool = False
    level: float | None = None
    """Of intervals and sets."""
    intervals: Collection[str] = ()
    """Tasks that get some."""


NOTHING = More()


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
        self._preprocessing = preprocessing
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

    def analysis(self) -> TaskAnalysis:
        """Return how the gradients of the tasks agreed while training, from ``analysis.json``.

        Raises:
            InputError: If nothing was measured: tasks share no parameters, the run is not finished,
                its config has ``training.analysis: null``, or only the model is there.
        """
        return read_analysis(self.path)

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
        more = self._more(tasks, weights, spread, intervals)
        return pa.concat_tables(self._predicted(self._given(data), tasks, weights, more))

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
        return self._columns(self._predictions(inputs, self._chosen(tasks)), rows)

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
        rows, found = self._labelled_rows(data, tasks, split, source, step)
        known = None if split else self._seen(rows, found)
        if known is not None:
            warnings.warn(self._seen_by(known), stacklevel=2)
        report = self._evaluated(rows, weights, found)
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
        rows, of = self._labelled_rows(data, tasks, split, source, step)
        known = None if split else self._seen(rows, of)
        if known is not None:
            other = ", or --split validation (split='validation' in Python)"
            raise InputError(
                f"the run was trained on {known.train:,} of these {known.rows:,} rows, which "
                f"cannot calibrate it; use others{'' if self._of_folds else other}"
            )
        fitted = None
        if split == "calibration":
            fitted, _ = self._labelled_rows(data, tasks, "validation", source, step)
        found = self._calibrated(rows, fitted, of, split or "given")
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
        self, rows: LabelledRows, fitted: LabelledRows | None, of: str, source: str
    ) -> Calibration:
        """Compute scores of rows of a source of data, and temperatures of these or of others."""
        size = self._batch_size(of)
        with explaining_memory("the calibration", partial(_little_else, size)):
            if fitted is None:
                return calibrated(self.model, rows, batch_size=size, source=source)
            return calibrated(self.model, fitted, rows, batch_size=size, source=source)

    def _calibration_of_fold(self, data: Any, step: Callable[[str], object]) -> Calibration:
        """Return what the test rows of a fold give for the models of all folds together."""
        rows, of = self._labelled_rows(data, None, "test", None, step)
        own = (
            (
                {
                    task: each._replace(spread=None)  # of this model, not of all
                    for task, each in self._predictions(part.inputs, list(rows.tasks)).items()
                },
                {task: torch.tensor(values) for task, values in part.targets.items()},
                dict[str, torch.Tensor](),
            )
            for part in rows.encoded()
        )
        tasks = [self.model.tasks[name] for name in rows.tasks]
        with explaining_memory("the calibration", partial(_little_else, self._batch_size(of))):
            return calibrated_predictions(tasks, own, "folds")

    def _labelled_rows(
        self,
        data: Any,
        tasks: Iterable[str] | None,
        split: str | None,
        source: str | None,
        step: Callable[[str], object],
    ) -> tuple[LabelledRows, str]:
        """Return rows with labels of some tasks, and the name of their source."""
        given = self._given(data)
        chosen, found = self._of_source(given, self._chosen(tasks), source)
        names = self._view(given.schema.empty_table(), found).column_names
        there = [task for task in chosen if self._has_labels(task, names)]
        if len(there) < len(chosen) and (tasks is not None or not there):
            missing = [task for task in chosen if task not in there]
            raise InputError(
                f"the data have no labels for {listed(missing)}; expected their columns, "
                f"found {listed(names)}"
            )
        if grouping(self.model.tasks[task] for task in there):
            given = given.at_once()  # rows that belong together may be anywhere
        rows = LabelledRows(self, given, there, found, step)
        taken = rows if split is None else rows.taken(self._rows_of(data, rows, split, found))
        return taken, found

    def _of_source(
        self, given: GivenRows, chosen: list[str], source: str | None
    ) -> tuple[list[str], str]:
        """Return the tasks of a source among those chosen, and its name."""
        if source is not None:
            raise InputError(f"source: found {source!r}, but the run has one table; leave it out")
        return chosen, ""

    def _seen(self, rows: LabelledRows, source: str) -> Fingerprint | None:
        """Return what is known of the rows of the run, if these are them."""
        known = read_fingerprint(self.path, source)
        return known if known and known.like_parts(rows.labels, rows.count) else None

    def _has_labels(self, task: str, names: Sequence[str]) -> bool:
        return any(name in names for name in self._preprocessing.target(task).columns(names))

    def evaluate_arrays(
        self,
        inputs: dict[str, Any],
        targets: dict[str, NDArray[Any]],
        weights: Weights = "best",
        *,
        row_weights: Mapping[str, NDArray[Any]] | None = None,
    ) -> Report:
        """Evaluate preprocessed rows; see `evaluate`.

        Args:
            inputs: What `preprocess` returns.
            targets: Encoded labels by task.
            weights: As for `predict`.
            row_weights: How much each row counts, by task, where rows have weights.

        Returns:
            Metrics, losses and scores.
        """
        data, size = self._data(inputs, targets, row_weights), batch_size_of(inputs)
        with explaining_memory("the evaluation", partial(_little_else, size)):
            return evaluate_with(
                weights, self._kept, self.model, data, batch_size=size, trivial=self._trivial
            )

    def preprocess(self, data: Any) -> dict[str, Any]:
        """Turn rows into the arrays that ``run.model`` takes.

        Returns:
            "numbers", float32 (N, n), and "categories", int64 (N, c); "sets" and
            "texts", by input, in rows of different length (`motet.data.ragged.Ragged`).
        """
        inputs, self._notes = self._inputs(names_in(data), self._read(data))
        return inputs

    def embed(self, data: Any, *, task: str | None = None) -> NDArray[np.float32]:
        """Compute the representation that the heads read, one vector per row.

        Args:
            data: As for `predict`.
            task: Whose representation; needed if tasks have their own, as with experts.

        Returns:
            float32, shape (N, D), rows in order.

        Raises:
            InputError: If the data lack an input column, or tasks have their own representations
                and none is chosen.
        """
        chosen = self._chosen(task)
        inputs = self.preprocess(data)
        rows, size = self._data(inputs, {}), batch_size_of(inputs)
        with explaining_memory("the forward pass", partial(_little_else, size)):
            return embed(self.model, rows, batch_size=size, tasks=chosen).numpy()

    def _seen_by(self, known: Fingerprint) -> str:
        return (
            f"the run was trained on {known.train:,} of these {known.rows:,} rows, so the metrics "
            "are too good for new ones; use --split test (split='test' in Python)"
        )

    def _predicted(
        self,
        given: GivenRows,
        tasks: Iterable[str] | None,
        weights: Weights,
        more: More = NOTHING,
    ) -> Iterator[pa.Table]:
        """Predict one part of the rows after the other."""
        chosen = self._chosen(tasks)
        for part in given:
            found, noted = self._predicted_part(part, chosen, weights, more)
            self._notes = added([self._notes if part.first else {}, noted])
            yield found

    def _predicted_part(
        self, part: Part, tasks: list[str], weights: Weights, more: More
    ) -> tuple[pa.Table, Mapping[str, Notes]]:
        inputs, notes = self._inputs(part.name_row, part.table)
        found = self._predictions(inputs, tasks, weights)
        return self._columns(found, part.table, more), notes

    def _more(
        self,
        tasks: Iterable[str] | None,
        weights: Weights,
        spread: bool,
        intervals: float | None,
    ) -> More:
        """Check and return what is to be added to predictions."""
        if spread and not self._has_members:
            raise InputError(
                "spread: found true, but a single model predicts; expected an encoder with "
                "members, encoder: {type: ensemble}, or several runs together"
            )
        self._notes_on_intervals = ()
        if intervals is None:
            return More(spread)
        if weights != "best":
            raise InputError(
                f"found {intervals} and weights: {weights}; intervals are of the best weights",
                option="intervals",
            )
        asked = [self.model.tasks[name] for name in self._chosen(tasks)]
        able, self._notes_on_intervals = with_intervals(
            self.calibration, asked, intervals, named=tasks is not None
        )
        return More(spread, intervals, able)

    @property
    def _has_members(self) -> bool:
        return self.model.members is not None

    @property
    def _of_folds(self) -> bool:
        """Whether every row of the data trained a part of it."""
        return False

    def _evaluated(self, rows: LabelledRows, weights: Weights, source: str) -> Report:
        size = self._batch_size(source)
        with explaining_memory("the evaluation", partial(_little_else, size)):
            return evaluate_with(
                weights, self._kept, self.model, rows, batch_size=size, trivial=self._trivial
            )

    def _predictions(
        self, inputs: dict[str, Any], tasks: list[str], weights: Weights = "best"
    ) -> dict[str, Prediction]:
        data, size = self._data(inputs, {}), batch_size_of(inputs)
        with explaining_memory("the prediction", partial(_little_else, size)):
            return predict_with(weights, self._kept, self.model, data, batch_size=size, tasks=tasks)

    def _columns(
        self, predictions: dict[str, Prediction], rows: pa.Table | None, more: More = NOTHING
    ) -> pa.Table:
        columns: dict[str, pa.Array] = {}
        for task, found in predictions.items():
            known = None if found.probabilities is None else found.probabilities.numpy()
            columns |= self._preprocessing.predictions(task, found.value.numpy(), known, rows)
        return pa.table(columns | self._more_columns(predictions, columns, more))

    def _more_columns(
        self, predictions: Mapping[str, Prediction], columns: Mapping[str, Any], more: More
    ) -> dict[str, Any]:
        """Return columns to add beside those of predictions."""
        found: dict[str, Any] = {}
        for task, each in predictions.items():
            if more.spread and each.spread is not None:
                found |= self._preprocessing.spreads(task, each.spread.numpy(), columns)
            if more.level is not None and task in more.intervals:
                assert self.calibration is not None
                target = self._preprocessing.target(task)
                own = self.calibration.intervals(more.level, self.model.tasks[task], each, target)
                for name in own:
                    if name in columns:
                        raise InputError(
                            f"intervals: found another column {name!r}; rename its task"
                        )
                found |= own
        return found

    def _rows_of(
        self, data: Any, rows: LabelledRows, name: str, source: str = ""
    ) -> NDArray[np.int64]:
        known = read_fingerprint(self.path, source)
        if known is None:
            raise InputError(
                f"split: {self.path} holds only a model, not how rows were split; "
                "expected the run folder"
            )
        if len(known.like_parts(rows.labels, rows.count)) < len(rows.tasks):
            raise InputError(
                f"split: found rows that are not the {known.rows:,} rows, in order, that the run "
                f"was made with; give those, or leave split out to evaluate all rows given"
            )
        if known.streamed:
            splits = streamed_splits(self.config, stream_of(as_source(data)))
        else:
            table = self._as_split(read(data), source)
            splits = split_rows(self.config, table, source)
        return rows_of(splits, name, known)

    def _as_split(self, table: pa.Table, source: str) -> pa.Table:
        """Return rows with the names of columns that they were split by."""
        return table

    def _view(self, table: pa.Table, source: str) -> pa.Table:
        """Return rows with the columns that the inputs of a source read."""
        return table

    def _batch_size(self, source: str) -> int:
        return batch_size(bool(self._preprocessing.shapes().own))

    def _inputs(
        self, name_row: RowName, table: pa.Table, source: str = ""
    ) -> tuple[dict[str, Any], Mapping[str, Notes]]:
        with named(name_row):
            return self._preprocessing.apply(table)

    def _given(self, data: Any) -> GivenRows:
        own = self._preprocessing.shapes().own
        size = ROWS_OF_TEXTS if own else ROWS_OF_TABLES
        return GivenRows.of(data, self._preprocessing.strings, size)

    def _read(self, data: Any) -> pa.Table:
        return read(data, strings=self._preprocessing.strings)

    def _data(
        self,
        inputs: dict[str, NDArray[Any]],
        targets: dict[str, Any],
        row_weights: Mapping[str, Any] | None = None,
    ) -> Data:
        device = next(self.model.parameters()).device
        return ArrayData(inputs, targets, row_weights).to(device)

    def _chosen(self, tasks: Iterable[str] | None) -> list[str]:
        enabled = self.model.labelled_tasks
        chosen = list(enabled if tasks is None else names_of(tasks))
        for task in chosen:
            if task not in self.model.tasks.names:
                raise InputError(f"no task is named {task!r}; {hint(task, enabled)}")
            if not self.model.tasks[task].label_kind.given:
                raise InputError(
                    f"task {task!r} is auxiliary, so it has neither labels nor predictions; leave "
                    "it out"
                )
            if task not in enabled:
                raise InputError(
                    f"task {task!r} is disabled and was not trained; leave it out, or train again "
                    "with it enabled"
                )
            if task not in self.config.tasks:
                known = [name for name in enabled if name in self.config.tasks]
                raise InputError(
                    f"task {task!r} was added to run.model after the run, which does not know its "
                    "labels; predict it with motet.Trainer(run.model).predict(run.preprocess(data)"
                    f", {task!r}), and the others with tasks={known}; to have it in a saved run, "
                    "add it to the config and train"
                )
        return chosen


def _little_else(size: int) -> list[str]:
    return [f"with less else in memory, as only {size:,} rows are computed at a time"]


def batch_size_of(inputs: Mapping[str, Any]) -> int:
    """Return the rows per forward pass: texts and the like have hundreds of states each."""
    return batch_size(not set(inputs) <= {"numbers", "categories", "sets"})


def batch_size(branches: bool) -> int:
    """Return the rows per forward pass of a run, with inputs that have their own encoder or not."""
    return 256 if branches else 4096


def with_truth(
    predictions: pa.Table, table: pa.Table, preprocessing: Preprocessing, tasks: Iterable[str]
) -> pa.Table:
    """Put ``<task>_true``, the labels as they were given, before each task's predictions."""
    columns: dict[str, Any] = {}
    for task in tasks:
        labels = preprocessing.target(task).true_columns(table.column_names)
        columns |= {name: table[label] for name, label in labels.items()}
    for name in predictions.column_names:
        columns[name] = predictions[name]
    return pa.table(columns)
