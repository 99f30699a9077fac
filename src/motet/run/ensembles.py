"""Several trained models that predict together: means of their probabilities and numbers."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn, final

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from motet.data.row_names import named
from motet.data.sources import names_in
from motet.problems import InputError
from motet.run.origin_rows import Fingerprint, Labels
from motet.run.runs import Run
from motet.tasks import Prediction
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
        super().__init__(path, first.config, first._preprocessing, first.model, first._trivial)
        self.members = tuple(members)
        """The runs, each of which predicts alone too."""

    def predict(
        self, data: Any, *, tasks: Iterable[str] | None = None, weights: Weights = "best"
    ) -> pa.Table:
        """Predict for rows, in their order; see `Run.predict`."""
        table = self._read(data)
        chosen = self._chosen(tasks)
        predictions = [
            each._predictions(each._inputs(data, table), chosen, weights) for each in self.members
        ]
        self._notes = self.members[0].notes
        return self._columns(self._combined(predictions), table)

    def preprocess(self, data: Any) -> NoReturn:
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

    def _evaluated(
        self,
        data: Any,
        table: pa.Table,
        targets: dict[str, NDArray[Any]],
        row_weights: dict[str, NDArray[Any]],
        weights: Weights,
        source: str = "",
    ) -> Report:
        found, predictions = [], []
        for each in self.members:
            inputs = each._inputs(data, table)
            with named(names_in(data)):
                own = each._preprocessing.targets(table)
            own = {task: own[task] for task in targets}
            found.append(each.evaluate_arrays(inputs, own, weights, row_weights=row_weights))
            predictions.append(each._predictions(inputs, list(targets), weights))
        self._notes = self.members[0].notes
        losses = {}
        for task in targets:
            count = torch.tensor(float(found[0][task]["count"]))
            mean = torch.tensor(np.mean([report[task]["loss"] for report in found]))
            losses[task] = (mean * count, count)
        labels = {task: torch.tensor(each) for task, each in targets.items()}
        combined = self._combined(predictions)
        own_weights = {task: torch.tensor(each) for task, each in row_weights.items()}
        return evaluate_predictions(
            self.model.tasks, combined, labels, losses, self._trivial, own_weights
        )

    def _combined(self, members: Sequence[dict[str, Prediction]]) -> dict[str, Prediction]:
        return {
            task: self.model.tasks[task].combine([each[task] for each in members])
            for task in members[0]
        }

    def _seen_by(self, known: Fingerprint) -> str:
        return (
            "these are the rows that the models were trained on, so the metrics are too good for "
            "new ones; metrics.jsonl has the means of those on the rows that each model did not see"
        )

    def _rows_of(self, data: Any, targets: Labels, name: str, source: str = "") -> NoReturn:
        raise InputError(
            f"split: found {name!r}, but every row trained some of the models; "
            "predictions/test.parquet has each row's prediction by the model that did not see it"
        )
