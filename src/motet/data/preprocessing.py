"""Turns a table into the arrays that a model takes; its whole state is one JSON text.

`Preprocessing` is fitted on the training rows and then applied to any rows, of the run or, from the
model folder, later ones. How it learns is `motet.data.fitting`, its text
`motet.data.preprocessing_json`.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from motet.data.fitting import At, Observed, fit_parts, fit_sources, raising, strings_of
from motet.data.inputs.base import Input
from motet.data.inputs.results import checked_result, checked_shape
from motet.data.inputs.shapes import InputShapes, Shape, join
from motet.data.judged_rows import JudgedRows
from motet.data.members import Members
from motet.data.notes import Notes
from motet.data.preprocessing_json import Learned, read, write
from motet.data.selection import require_columns
from motet.data.split_labels import labelled
from motet.data.targets import Target
from motet.data.targets.results import checked_columns, checked_labels
from motet.problems import InputError, hint


class Preprocessing:
    """Inputs and targets of a run.

    Args:
        inputs: By name; their order is that of the arrays' columns.
        targets: By task.
        row_rules: For some tasks, the rows that they are trained and evaluated on, and weights.
        fitted: ("inputs", name) or ("tasks", name) of those that learned everything in an earlier
            run, and stay as they are.

    Raises:
        InputError: If there is no input.

    Example:
        >>> from motet.data.inputs.category import Category
        >>> from motet.data.inputs.number import Number
        >>> from motet.data.targets import NumberTarget
        >>> table = pa.table({"age": [20, 40], "job": ["cook", "cook"], "spend": [1.0, 2.0]})
        >>> inputs = {"age": Number("age"), "job": Category("job")}
        >>> preprocessing = Preprocessing(inputs, {"spend": NumberTarget("spend")})
        >>> preprocessing.fit(table)
        >>> again = Preprocessing.from_json(preprocessing.to_json())
        >>> again.inputs(table)
        {'numbers': array([[-1.],
               [ 1.]], dtype=float32), 'categories': array([[2],
               [2]])}
        >>> again.targets(table)
        {'spend': array([-1.,  1.], dtype=float32)}
    """

    def __init__(
        self,
        inputs: Mapping[str, Input],
        targets: Mapping[str, Target],
        row_rules: Mapping[str, JudgedRows] | None = None,
        fitted: Collection[tuple[str, str]] = (),
    ) -> None:
        if not inputs:
            raise InputError("there is no input; name at least one column under inputs")
        self._inputs = dict(inputs)
        self._targets = dict(targets)
        rules = {task: each for task, each in (row_rules or {}).items() if each.any}
        self._members = Members(self._inputs, self._targets, rules, frozenset(fitted))
        self._shapes: dict[str, Shape] = {}
        self._sampled: tuple[str, ...] = ()
        self.sources: dict[str, Any] = {}
        """Inputs, tasks and columns of each source, by name, where data have several; as JSON."""
        self.strings: tuple[str, ...] = ()
        """Columns that held texts, or lists, in training, so that sources keep them as texts."""

    def fit(self, table: pa.Table, at: At = raising) -> None:
        """Learn everything from the training rows.

        Columns that are missing, cannot be read, or are both input and target raise `InputError`.

        Args:
            table: The training rows, and nothing else.
            at: Called with ("inputs", name) or ("tasks", name); that input or target is fitted in
                the context it returns, which may collect errors to report them together.
        """
        self.fit_all([Observed(table, table, self._inputs, self._targets, at)])

    def fit_all(self, sources: Sequence[Observed]) -> None:
        """Learn everything from the training rows of several sources; see `fit_sources`."""
        self._shapes = {}
        self.strings = fit_sources(self._members, sources)

    def fit_parts(self, empty: pa.Table, parts: Iterable[tuple[pa.Table, At]]) -> None:
        """Learn everything from training rows that come in parts; see `motet.data.fitting`."""
        self._shapes = {}
        self.strings, self._sampled = fit_parts(self._members, empty, parts)

    def replaced(
        self,
        inputs: Mapping[str, Input],
        targets: Mapping[str, Target],
        fitted: Collection[tuple[str, str]],
    ) -> "Preprocessing":
        """Return the same with other inputs and targets, some of which learn nothing more.

        Args:
            inputs: All inputs by name.
            targets: All targets by task.
            fitted: ("inputs", name) or ("tasks", name) of those.
        """
        return Preprocessing(inputs, targets, self._members.rules, fitted)

    def extended(self, targets: Mapping[str, Target], table: pa.Table) -> "Preprocessing":
        """Return the same inputs and targets, as they are, and further targets fitted on a table.

        Args:
            targets: By task, tasks that are new here.
            table: Rows with their labels.

        Returns:
            New preprocessing, which shares its inputs with this one.
        """
        made = Preprocessing(self._inputs, {**self._targets, **targets}, self._members.rules)
        for target in targets.values():
            target.fit(table, self._inputs)
        labels = [name for each in targets.values() for name in each.columns(table.column_names)]
        made.sources = self.sources
        made.strings = (*self.strings, *strings_of(table, labels))
        return made

    def apply(
        self, table: pa.Table, at: At = raising, only: Collection[str] | None = None
    ) -> tuple[dict[str, Any], dict[str, Notes]]:
        """Turn rows into what the encoder takes; threads may share a preprocessing.

        Missing columns are reported together.

        Args:
            table: N rows; label columns are not needed.
            at: As for `fit`.
            only: The inputs that the rows have; all if left out.

        Returns:
            The tree of `motet.data.inputs.shapes.join`, and notes about these rows, by input.
        """
        names = table.column_names
        inputs = {n: each for n, each in self._inputs.items() if only is None or n in only}
        columns = [name for each in inputs.values() for name in each.columns(names)]
        require_columns(table, columns, "inputs")
        notes: dict[str, Notes] = {}
        shapes = {name: shape for name, shape in self._shape_of_each().items() if name in inputs}

        def trees() -> Iterator[tuple[str, Any]]:
            for name, each in inputs.items():
                tree = None
                with at("inputs", name):
                    where = f"input {name!r}"
                    found = each.apply(table)
                    tree, notes[name] = checked_result(where, found, shapes[name], len(table))
                if name in notes:
                    yield name, tree

        return join(shapes, trees(), len(table)), notes

    def inputs(self, table: pa.Table) -> dict[str, Any]:
        """Turn rows into what the encoder takes, without notes; see `apply`."""
        return self.apply(table)[0]

    def targets(
        self, table: pa.Table, at: At = raising, only: Collection[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Turn labels into what the losses take; each labelled word needs a label.

        Args:
            table: N rows; a task is left out if the table has none of its columns. Word labels need
                the words, too.
            at: As for `fit`.
            only: The tasks that have labels in these rows; all if left out.

        Returns:
            Targets (N, ...) by task, -100 or NaN where missing.
        """
        arrays: dict[str, NDArray[Any]] = {}
        for task, target in self._targets.items():
            if only is not None and task not in only:
                continue
            if any(name in table.column_names for name in target.columns(table.column_names)):
                with at("tasks", task):
                    found = target.encode(self.judged(task, table), self._inputs)
                    arrays[task] = checked_labels(task, found, len(table))
        return arrays

    def judged(self, task: str, table: pa.Table) -> pa.Table:
        """Return rows whose labels of a task are missing where it is not evaluated on them."""
        return self._members.judged(task, table)

    def weights(
        self, table: pa.Table, targets: Mapping[str, NDArray[Any]], at: At = raising
    ) -> dict[str, NDArray[np.float32]]:
        """Return how much each row counts for tasks whose rows have weights.

        Args:
            table: N rows.
            targets: What `targets` returned for them.
            at: As for `fit`.

        Returns:
            Weights (N,) by task.
        """
        arrays: dict[str, NDArray[np.float32]] = {}
        for task, rows in self._members.rules.items():
            if task in targets:
                with at("tasks", task):
                    found = rows.weights(table, labelled(targets[task]))
                    if found is not None:
                        arrays[task] = found
        return arrays

    def predictions(
        self,
        task: str,
        value: NDArray[Any],
        probabilities: NDArray[Any] | None = None,
        table: pa.Table | None = None,
    ) -> dict[str, pa.Array]:
        """Turn what a task predicts into columns; see `Target.predictions`.

        Args:
            task: Name of the task.
            value: What `Prediction.value` holds, N rows.
            probabilities: What `Prediction.probabilities` holds, if anything.
            table: The rows that were predicted; with them spans have their positions in the text.

        Returns:
            Columns by name.
        """
        found = self.target(task).predictions(value, probabilities, table, self._inputs)
        return checked_columns(task, found, len(value))

    def spreads(
        self, task: str, spread: NDArray[Any], beside: Collection[str] = ()
    ) -> dict[str, pa.Array]:
        """Turn the spread of what a task predicts into columns.

        Args:
            task: Name of the task.
            spread: What `Prediction.spread` holds, N rows.
            beside: Names of other columns.

        Returns:
            ``<column>_spread`` for each column of probabilities or numbers.

        Raises:
            InputError: If another column has the name of one.
        """
        each = spread.reshape(len(spread), -1).T
        names = self.target(task).more_columns()
        if len(each) == 1:
            names = [task]
        elif len(each) != len(names):
            names = [f"{task}_{place}" for place in range(len(each))]
        found = {f"{n}_spread": pa.array(values) for n, values in zip(names, each, strict=True)}
        for name in found:
            if name in beside:
                raise InputError(f"spread: found another column {name!r}; rename its task")
        return found

    def target(self, task: str) -> Target:
        """Return the target of a task: its classes, its scale, its columns of predictions.

        Raises:
            InputError: If it has no such task.
        """
        if task not in self._targets:
            known = hint(task, self._targets)
            raise InputError(f"the preprocessing has no task {task!r}; {known}")
        return self._targets[task]

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks with targets."""
        return tuple(self._targets)

    @property
    def fitted_inputs(self) -> Mapping[str, Input]:
        """The inputs by name, which targets of words read."""
        return self._inputs

    def shapes(self) -> InputShapes:
        """Return what the encoders of a model need to know about the inputs."""
        return InputShapes.of(self._shape_of_each())

    def _shape_of_each(self) -> dict[str, Shape]:
        if not self._shapes:  # costs a pass through the vocabulary of each text
            self._shapes = {
                name: checked_shape(f"input {name!r}", each.shape())
                for name, each in self._inputs.items()
            }
        return self._shapes

    @property
    def notes(self) -> tuple[str, ...]:
        """What `fit` found that users should know."""
        inputs = (note for each in self._inputs.values() for note in each.notes)
        targets = (note for each in self._targets.values() for note in each.notes)
        return (*inputs, *targets, *self._sampled)

    # JSON ----------------------------------------------------------------------------------------

    def to_json(self) -> str:
        """Return everything that was learned as strict JSON."""
        return write(Learned(self._members, self.strings, self.sources))

    @staticmethod
    def from_json(text: str) -> "Preprocessing":
        """Return the fitted preprocessing that `to_json` wrote.

        Raises:
            InputError: If the text is something else, or of a later version.
        """
        members, strings, sources = read(text)
        made = Preprocessing(members.inputs, members.targets, members.rules)
        made.strings, made.sources = strings, sources
        return made
