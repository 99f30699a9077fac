"""Estimators with the interface of scikit-learn, over runs."""

import tempfile
from collections.abc import Mapping
from numbers import Integral
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from motet.estimator.labels import CLASSES, Labels, missing_in
from motet.problems import InputError, shown
from motet.run import Run, load, train

_LABEL = "label of "
"""What precedes the name of a task in that of its column, which thus differs from those of X."""
_FEW = 50
"""Rows below which the loss chooses the best epoch, as metrics of a few rows are not defined."""


def _predicts_classes(estimator: "MultiTaskEstimator") -> bool:
    return any(_type(kind) in CLASSES for kind in estimator._all_kinds())


class MultiTaskEstimator(BaseEstimator):  # type: ignore[misc]  # it has no types
    """One model for several targets, classes and numbers alike.

    X is an array (N, D) of numbers, or a frame of any columns that a run can read, whose types are
    inferred. Labels y are ``{task: (N,)}``, a frame with a column per task, an array (N, T), or
    (N,) of a single task; predictions have the same form. Missing labels are NaN or None, and
    missing numbers of X NaN. Everything that is not given is chosen as in a run.

    Args:
        tasks: By name the type of each task, or ``{"type": name, option: value}``; of an array y in
            the order of its columns. Tasks have one label a row: classification and those of
            numbers, such as regression, count, ordinal or quantile.
        inputs: Inputs of a frame, as the section ``inputs`` of a config; inferred if left out.
        encoder: The section ``model.encoder``, or its type.
        sharing: The section ``model.sharing``, or its type.
        balancing: The section ``balancing``, or its type.
        epochs: Epochs, or "auto".
        batch_size: Rows per step; chosen by the rows if left out.
        learning_rate: Of the optimizer; chosen if left out.
        validation: Share of the rows that choose the best epoch.
        config: Further sections of a config, merged with these.
        device: Where to train and predict.
        random_state: Seed of the split and the training; None draws one, and a RandomState, too.

    Attributes:
        run_: The finished run, as `motet.load` returns it.
        tasks_: Names of the tasks.
        classes_: If a task has some, the classes of each: of (N,) one array, of a mapping by task,
            else a list in the order of the tasks, None where there are none.
        n_features_in_, feature_names_in_: As everywhere in scikit-learn.

    Example:
        >>> X = np.random.default_rng(0).normal(size=(60, 3))
        >>> y = {"side": np.where(X[:, 0] > 0, "left", "right"), "sum": X.sum(1)}
        >>> tasks = {"side": "classification", "sum": "regression"}
        >>> estimator = MultiTaskEstimator(tasks, epochs=2).fit(X, y)
        >>> {task: values.shape for task, values in estimator.predict(X[:5]).items()}
        {'side': (5,), 'sum': (5,)}
    """

    _kind: str | None = None
    """The type of all tasks, where it is known without ``tasks``."""

    def __init__(
        self,
        tasks: Mapping[str, Any] | None = None,
        *,
        inputs: Mapping[str, Any] | None = None,
        encoder: Any = None,
        sharing: Any = None,
        balancing: Any = None,
        epochs: int | str = "auto",
        batch_size: int | None = None,
        learning_rate: float | None = None,
        validation: float = 0.15,
        config: Mapping[str, Any] | None = None,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.tasks = tasks
        self.inputs = inputs
        self.encoder = encoder
        self.sharing = sharing
        self.balancing = balancing
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation = validation
        self.config = config
        self.device = device
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Train a model on rows and their labels.

        Args:
            X: Rows.
            y: Labels.

        Returns:
            The estimator.

        Raises:
            InputError: If something does not fit.
            ValueError: If there are no labels, as scikit-learn expects.
        """
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None"
            )
        for name in ("_run", "_files", "classes_"):  # of an earlier fit
            self.__dict__.pop(name, None)
        table = self._table(X, reset=True)
        kinds = self._kinds(y)
        self._labels = labels = Labels.of(y, None if self.tasks is None else list(kinds))
        by_task = labels.by_task(y)
        if {len(values) for values in by_task.values()} != {len(table)}:
            lengths = {task: len(values) for task, values in by_task.items()}
            raise InputError(f"X has {len(table)} rows, and y {lengths}; expected as many labels")
        inputs = table.column_names
        for task, values in by_task.items():
            column = labels.encoded(task, values, classes=_type(kinds[task]) in CLASSES)
            table = table.append_column(_LABEL + task, column)
        with tempfile.TemporaryDirectory() as folder:
            whole = self._whole(kinds, inputs, len(table), framed=hasattr(X, "columns"))
            run = train(whole, table, output=Path(folder) / "run")
            self._run = load(model := run.path / "model")
            self._files = {
                str(path.relative_to(model)): path.read_bytes()
                for path in sorted(model.rglob("*"))
                if path.is_file()
            }
        self.tasks_ = list(labels.tasks)
        if labels.classes:
            self.classes_ = self._in_form([labels.classes.get(task) for task in labels.tasks])
        return self

    @property
    def run_(self) -> Run:
        """The finished run."""
        check_is_fitted(self)
        if "_run" not in self.__dict__:
            with tempfile.TemporaryDirectory() as folder:
                for name, content in self._files.items():
                    path = Path(folder) / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
                self._run = load(folder)
        return self._run

    def predict(self, X: Any) -> Any:
        """Predict the tasks.

        Args:
            X: Rows.

        Returns:
            Predictions in the form of the labels.
        """
        check_is_fitted(self)
        found = self.run_.predict(self._table(X, reset=False))
        columns = {task: self._labels.decoded(task, found[task]) for task in self.tasks_}
        index = X.index if hasattr(X, "columns") and hasattr(X, "index") else None
        return self._labels.joined(columns, index)

    @available_if(_predicts_classes)  # type: ignore[untyped-decorator]  # nor has this
    def predict_proba(self, X: Any) -> Any:
        """Predict probabilities of classes.

        Args:
            X: Rows.

        Returns:
            In the form of ``classes_``, (N, C) each.
        """
        check_is_fitted(self)
        found = self.run_.predict(self._table(X, reset=False))
        return self._in_form(
            [
                np.column_stack(
                    [
                        found[f"{task}_probability_{name}"].to_numpy()
                        for name in self._labels.names(task)
                    ]
                )
                if task in self._labels.classes
                else None
                for task in self.tasks_
            ]
        )

    def score(self, X: Any, y: Any) -> float:
        """Return the mean over tasks of accuracy, or R2 of tasks of numbers, on labelled rows.

        Args:
            X: Rows.
            y: Their labels.

        Returns:
            The mean.

        Raises:
            InputError: If y lacks a task, or all of its labels.
        """
        check_is_fitted(self)
        labels = self._labels.by_task(y)
        found = self._labels.by_task(self.predict(X))
        scores = []
        for task in self.tasks_:
            known = ~missing_in(labels[task])
            if not known.any():
                raise InputError(f"y has no labels of {task}; expected some")
            score = accuracy_score if task in self._labels.classes else r2_score
            scores.append(score(labels[task][known], found[task][known]))
        return float(np.mean(scores))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.required = True
        tags.input_tags.allow_nan = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return "_files" in self.__dict__

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_run"}

    def _all_kinds(self) -> list[Any]:
        """Return the types of tasks, which are known before there are labels."""
        return [self._kind] if self.tasks is None else list(self.tasks.values())

    def _kinds(self, y: Any) -> dict[str, Any]:
        """Return the type of each task."""
        if not isinstance(self.tasks, Mapping) and (self.tasks is not None or self._kind is None):
            raise InputError(
                "expected the type of each task, {'churn': 'classification', ...}", option="tasks"
            )
        if self.tasks is None:
            return dict.fromkeys(Labels.of(y, None).tasks, self._kind)
        for task, kind in self.tasks.items():
            if self._kind not in (None, _type(kind)):
                raise InputError(
                    f"found {_type(kind)} for {task!r}, expected {self._kind}; MultiTaskEstimator "
                    "takes tasks of several types",
                    option="tasks",
                )
        return dict(self.tasks)

    def _table(self, X: Any, *, reset: bool) -> pa.Table:
        """Return rows as a table, checked as scikit-learn does."""
        if hasattr(X, "columns"):
            validate_data(self, X, reset=reset, skip_check_array=True)
            if isinstance(X, pa.Table):
                return X
            if hasattr(X, "to_arrow"):  # polars
                return X.to_arrow()
            return pa.Table.from_pandas(
                X.set_axis(map(str, X.columns), axis=1), preserve_index=False
            )
        X = validate_data(
            self,
            X,
            reset=reset,
            dtype="numeric",
            ensure_all_finite="allow-nan",
            ensure_min_samples=2 if reset else 1,
        )
        return pa.table({f"x{place}": column for place, column in enumerate(X.T)})

    def _seed(self) -> int:
        """Return the seed of the run; drawn as scikit-learn draws where it is not a number."""
        given = self.random_state
        if isinstance(given, Integral) and not isinstance(given, bool) and given >= 0:
            return int(given)
        if given is None or isinstance(given, np.random.RandomState):
            return int(check_random_state(given).randint(2**31 - 1))
        raise InputError(
            f"found {shown(given)}; expected a whole number >= 0, None, or a RandomState",
            option="random_state",
        )

    def _whole(
        self, kinds: Mapping[str, Any], inputs: list[str], rows: int, *, framed: bool
    ) -> dict[str, Any]:
        """Return the config of a run."""
        seed = self._seed()
        training: dict[str, Any] = {
            "epochs": self.epochs,
            "seed": seed,
            "device": self.device,
            "batch_size": self.batch_size,
            "monitor": "loss" if rows < _FEW else None,
        }
        if self.learning_rate is not None:
            training["optimizer"] = {"type": "adamw", "learning_rate": self.learning_rate}
        model = {"encoder": self.encoder, "sharing": self.sharing}
        found: dict[str, Any] = {
            "data": {"split": {"validation": self.validation, "test": 0, "seed": seed}},
            "tasks": {task: _with_column(task, kind, self._labels) for task, kind in kinds.items()},
            "training": {name: value for name, value in training.items() if value is not None},
            "model": {name: value for name, value in model.items() if value is not None},
        }
        if self.inputs is not None:
            found["inputs"] = dict(self.inputs)
        elif not framed:
            found["inputs"] = dict.fromkeys(inputs, "number")
        if self.balancing is not None:
            found["balancing"] = self.balancing
        return _merged(found, self.config or {})

    def _in_form(self, values: list[Any]) -> Any:
        if self._labels.form == "vector":
            return values[0]
        if self._labels.form == "mapping":
            return dict(zip(self._labels.tasks, values, strict=True))
        return values


class MultiTaskClassifier(ClassifierMixin, MultiTaskEstimator):  # type: ignore[misc]
    """Several classifications by one model; see `MultiTaskEstimator`, which takes its options."""

    _kind = "classification"

    score = MultiTaskEstimator.score


class MultiTaskRegressor(RegressorMixin, MultiTaskEstimator):  # type: ignore[misc]
    """Several regressions by one model; see `MultiTaskEstimator`, which takes its options."""

    _kind = "regression"

    score = MultiTaskEstimator.score


def _type(kind: Any) -> Any:
    return kind["type"] if isinstance(kind, Mapping) else kind


def _with_column(task: str, kind: Any, labels: Labels) -> dict[str, Any]:
    options = dict(kind) if isinstance(kind, Mapping) else {"type": kind}
    if task in labels.classes:
        options["classes"] = labels.names(task)
    return {**options, "column": _LABEL + task}


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested mappings as one; the second counts where both have a value."""
    found = dict(one)
    for key, value in other.items():
        both = isinstance(value, Mapping) and isinstance(found.get(key), Mapping)
        found[key] = _merged(found[key], value) if both else value
    return found
