"""Several trained models that predict together: means of their probabilities and numbers."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, final

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from motet.data.notes import Notes
from motet.problems import InputError
from motet.run.calibrating import Calibration, calibrated_predictions
from motet.run.given_rows import LabelledRows, Part
from motet.run.more_columns import More
from motet.run.origin_rows import Fingerprint
from motet.run.runs import Run
from motet.tasks import Prediction
from motet.tasks.combining import spread_of
from motet.training import Report
from motet.training.evaluation import evaluate_predictions
from motet.training.kept import Weights


@final
class Ensemble(Run):
    """The models of several runs with the same tasks and classes.

    Each member reads rows with its own preprocessing. Probabilities and numbers are averaged; of
    sequences, that on which most members agree is predicted. The loss is the mean of the members'
    losses. ``model`` is that of the first member, and knows the tasks.

    Args:
        path: The run folder, or the model folder.
        members: The runs.
    """

    def __init__(self, path: Path, members: Sequence[Run]) -> None:
        first = members[0]
        super().__init__(
            path, first.config, first.reader.preprocessing, first.model, first._trivial
        )
        self.members = tuple(members)
        """The runs, each of which predicts alone too."""

    def _predicted_part(
        self, part: Part, tasks: list[str], weights: Weights, more: More
    ) -> tuple[pa.Table, Mapping[str, Notes]]:
        predictions, notes = [], []
        for each in self.members:
            inputs, noted = each.reader.inputs(part.name_row, part.table)
            predictions.append(each._predictions(inputs, tasks, weights))
            notes.append(noted)
        tables = dict.fromkeys(tasks, part.table)
        return self._columns(self._combined(predictions), tables, more), notes[0]

    @property
    def _has_members(self) -> bool:
        return len(self.members) > 1

    def preprocess(self, data: Any, source: str | None = None) -> NoReturn:
        """Refuse: each member reads rows in its own way.

        Raises:
            InputError: Always.
        """
        raise InputError(
            "an ensemble has a preprocessing for each of its models; use that of one of them, such "
            "as run.members[0].preprocess(data)"
        )

    def embed(self, data: Any, *, task: str | None = None) -> NDArray[np.float32]:
        """Refuse: each member has a representation of its own.

        Raises:
            InputError: Always.
        """
        raise InputError(
            "an ensemble has a representation for each of its models; use that of one of them, "
            "such as run.members[0].embed(data)"
        )

    def export(self, *arguments: Any, **options: Any) -> NoReturn:
        """Refuse: a file holds one model.

        Raises:
            InputError: Always.
        """
        raise InputError(
            "the run has several models that predict together, each with its own preprocessing, "
            "and a file holds one; export each of them, such as "
            "run.members[0].export('onnx', 'first.onnx'), and average their outputs"
        )

    def _evaluated(self, rows: LabelledRows, weights: Weights) -> Report:
        """Evaluate in a pass for each member, for its loss, and one for what they predict."""
        own = [rows.of(each.reader) for each in self.members]
        found = [
            each._evaluated(given, weights) for each, given in zip(self.members, own, strict=True)
        ]
        losses = {}
        for task in rows.tasks:
            count = torch.tensor(float(found[0][task]["count"]))
            mean = torch.tensor(np.mean([report[task]["loss"] for report in found]))
            losses[task] = (mean * count, count)
        parts = self._parts(rows, own, weights)
        return evaluate_predictions(self.model.tasks, parts, losses, self._trivial)

    def use_calibration(self, calibration: Calibration) -> None:
        """Predict with a calibration from now on; temperatures are those of the members."""
        self.calibration = calibration

    def _calibrated(
        self, rows: LabelledRows, fitted: LabelledRows | None, source: str
    ) -> Calibration:
        own = [rows.of(each.reader) for each in self.members]
        tasks = [self.model.tasks[name] for name in rows.tasks]
        return calibrated_predictions(tasks, self._parts(rows, own, "best"), source)

    def _parts(
        self, rows: LabelledRows, own: Sequence[LabelledRows], weights: Weights
    ) -> Iterator[tuple[dict[str, Prediction], dict[str, torch.Tensor], dict[str, torch.Tensor]]]:
        """Yield combined predictions, labels and weights of one part after the other."""
        encoded = (given.encoded() for given in own)
        for first, *each in zip(rows.encoded(), *encoded, strict=True):
            predictions = [
                run._predictions(part.inputs, list(rows.tasks), weights)
                for run, part in zip(self.members, each, strict=True)
            ]
            labels = {task: torch.tensor(values) for task, values in first.targets.items()}
            own_weights = {task: torch.tensor(values) for task, values in first.weights.items()}
            yield self._combined(predictions), labels, own_weights

    def _combined(self, members: Sequence[dict[str, Prediction]]) -> dict[str, Prediction]:
        known = {task: [each[task] for each in members] for task in members[0]}
        return {
            task: self.model.tasks[task].combine(each)._replace(spread=spread_of(each))
            for task, each in known.items()
        }

    @property
    def _of_folds(self) -> bool:
        split = self.config.data.split
        return split.folds is not None and split.fold is None

    def _trained_on(self, known: Fingerprint) -> str:
        if not self._of_folds:
            return super()._trained_on(known)
        return (
            "these are the rows that the models were trained on, so the metrics are too good for "
            "new ones; metrics.jsonl has the means of those on the rows that each model did not see"
        )

    def _rows_of(self, data: Any, rows: LabelledRows, name: str) -> NDArray[np.int64]:
        if not self._of_folds:
            return super()._rows_of(data, rows, name)
        raise InputError(
            f"split: found {name!r}, but every row trained some of the models; "
            "predictions/test.parquet has each row's prediction by the model that did not see it"
        )
