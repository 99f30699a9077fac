"""Labels as people give them to scikit-learn, by task, and predictions in the same form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.utils import assert_all_finite
from sklearn.utils.multiclass import check_classification_targets

from motet.problems import InputError, hint

Column = NDArray[Any]
CLASSES = ("classification",)


@dataclass
class Labels:
    """The form of labels, and the classes that were seen."""

    form: Literal["mapping", "frame", "array", "vector"]
    tasks: list[str]
    columns: list[Any]
    """Names of the columns of a frame; those of tasks otherwise."""
    frame: Any = None
    """The type of the frame."""
    classes: dict[str, Column] = field(default_factory=dict)
    """By task that predicts classes, the values, sorted."""

    @classmethod
    def of(cls, y: Any, names: Sequence[str] | None) -> "Labels":
        """Read the form of labels.

        Args:
            y: ``{task: (N,)}``, a frame with a column per task, an array (N, T), or (N,) of a
                single task.
            names: Names of the tasks; of a frame its columns, otherwise y0, y1, ... if left out.

        Returns:
            The form, with no classes yet.

        Raises:
            InputError: If names and columns do not match.
        """
        if isinstance(y, pa.Table):
            raise InputError("y is a table of Arrow; expected a frame, such as y.to_pandas()")
        if isinstance(y, Mapping):
            found = cls("mapping", list(y), list(y))
        elif hasattr(y, "columns"):
            found = cls("frame", [str(name) for name in y.columns], list(y.columns), type(y))
        else:
            shape = np.asarray(y).shape
            if len(shape) not in (1, 2):
                raise InputError(f"y has the shape {shape}, expected (N, T), or (N,) of one task")
            made = list(names or [f"y{place}" for place in range(shape[1] if shape[1:] else 1)])
            if len(made) != (shape[1] if shape[1:] else 1):
                raise InputError(f"y has the shape {shape}, expected a column for each of {made}")
            return cls("array" if shape[1:] else "vector", made, made)
        missing = [name for name in names or () if name not in found.tasks]
        if missing:
            raise InputError(f"y has no {missing[0]!r}; {hint(missing[0], found.tasks)}")
        if names is not None:
            kept = [found.tasks.index(name) for name in names]
            found.columns, found.tasks = [found.columns[k] for k in kept], list(names)
        return found

    def by_task(self, y: Any) -> dict[str, Column]:
        """Return labels (N,) by task.

        Raises:
            InputError: If they have another form than those of `fit`, or not those of all tasks.
        """
        if self.form in ("mapping", "frame"):
            known = y if isinstance(y, Mapping) else getattr(y, "columns", None)
            if known is None or isinstance(y, pa.Table):
                raise InputError(f"y is {type(y).__name__}, expected a {self.form}, as in fit")
            for name in self.columns:
                if name not in known:
                    raise InputError(f"y has no {name!r}; {hint(str(name), known)}")
            columns = [np.asarray(y[name]) for name in self.columns]
        else:
            array = np.asarray(y)
            columns = list(array.T) if array.ndim == 2 else [array]
            if len(columns) != len(self.tasks):
                raise InputError(
                    f"y has the shape {array.shape}, expected a column for each of {self.tasks}"
                )
        return dict(zip(self.tasks, columns, strict=True))

    def encoded(self, task: str, values: Column, *, classes: bool) -> pa.Array:
        """Return labels as a column of a table: names of classes, or numbers; null if missing.

        Raises:
            InputError: If there are none, or some are no numbers.
        """
        missing = missing_in(values)
        if missing.all():
            raise InputError(f"y has no labels of {task}; expected some")
        if values.dtype.kind == "f":
            assert_all_finite(values, allow_nan=True, input_name="y")
        if not classes:
            try:
                numbers = np.where(missing, np.nan, values.astype(object)).astype(np.float64)
            except ValueError as error:
                raise InputError(f"y of {task}: {error}; expected numbers") from None
            return pa.array(numbers, mask=missing)
        check_classification_targets(values[~missing])
        self.classes[task] = np.unique(values[~missing])
        places = np.searchsorted(
            self.classes[task], np.where(missing, self.classes[task][0], values)
        )
        names = np.array(self.names(task), dtype=object)
        return pa.array(names[places], pa.string(), mask=missing)

    def names(self, task: str) -> list[str]:
        """Return the names of the classes of a task, in order."""
        found = [str(value) for value in self.classes[task]]
        return found if len(set(found)) == len(found) else [str(k) for k in range(len(found))]

    def decoded(self, task: str, column: pa.ChunkedArray) -> Column:
        """Return predictions (N,) as labels were given."""
        if task not in self.classes:
            numbers: Column = column.to_numpy()
            return numbers
        places = {name: place for place, name in enumerate(self.names(task))}
        return self.classes[task][[places[name] for name in column.to_pylist()]]

    def joined(self, columns: Mapping[str, Column], index: Any) -> Any:
        """Return predictions by task in the form of the labels.

        Args:
            columns: Predictions (N,) by task.
            index: Of the frame of inputs, if it has one.
        """
        if self.form == "mapping":
            return dict(columns)
        values = [columns[task] for task in self.tasks]
        if self.form == "frame":
            found = self.frame(dict(zip(self.columns, values, strict=True)))
            return found if index is None or not hasattr(found, "index") else found.set_axis(index)
        return values[0] if self.form == "vector" else np.column_stack(values)


def missing_in(values: Column) -> NDArray[np.bool_]:
    """Return which labels are missing: NaN, None or NA of pandas."""
    if values.dtype.kind == "f":
        return np.isnan(values)
    if values.dtype.kind == "O":
        found: NDArray[np.bool_] = np.array([_is_missing(value) for value in values], dtype=bool)
        return found
    return np.zeros(len(values), dtype=bool)


def _is_missing(value: Any) -> bool:
    try:
        return value is None or bool(value != value)
    except TypeError:  # NA of pandas
        return True
