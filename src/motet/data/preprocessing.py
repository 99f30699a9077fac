"""Turns a table into the arrays that a model takes; its whole state is one JSON text.

`Preprocessing` is fitted on the training rows and then applied to any rows, of the run or, from the
model folder, later ones. Its JSON holds no NaN, no path and no code.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from motet.data.inputs.base import Input
from motet.data.inputs.results import checked_result, checked_shape
from motet.data.inputs.shapes import InputShapes, Shape, join
from motet.data.judged_rows import JudgedRows
from motet.data.label_samples import LabelSample
from motet.data.notes import Notes
from motet.data.selection import require_columns
from motet.data.sources.uniting import unite
from motet.data.split_labels import labelled
from motet.data.targets import Target
from motet.data.targets.base import NO_INPUTS
from motet.data.targets.results import checked_columns, checked_labels
from motet.data.values import is_list
from motet.problems import MALFORMED, InputError, hint, owned, reason
from motet.registry import INPUTS, LABELS

_VERSION = 1

At = Callable[[str, str], AbstractContextManager[None]]


def _raising(section: str, name: str) -> AbstractContextManager[None]:
    return owned(f"{section.removesuffix('s')} {name!r}")


class Observed(NamedTuple):
    """Training rows of one source, and which inputs and tasks read them."""

    rows: pa.Table
    """What inputs read."""
    labelled: pa.Table
    """The same rows, as tasks read them: with their labels."""
    inputs: Collection[str]
    tasks: Collection[str]
    at: At = _raising
    """See `Preprocessing.fit`."""


class Preprocessing:
    """Inputs and targets of a run.

    Args:
        inputs: By name; their order is that of the arrays' columns.
        targets: By task.
        row_rules: For some tasks, the rows that they are trained and evaluated on, and weights.

    Raises:
        InputError: If there is no input.

    Example:
        >>> from motet.data.inputs.category import Category
        >>> from motet.data.inputs.number import Number
        >>> table = pa.table({"age": [20, 40], "job": ["cook", "cook"], "spend": [1.0, 2.0]})
        >>> inputs = {"age": Number("age"), "job": Category("job")}
        >>> preprocessing = Preprocessing(inputs, {"spend": LABELS["number"]("spend")})
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
    ) -> None:
        if not inputs:
            raise InputError("there is no input; name at least one column under inputs")
        self._inputs = dict(inputs)
        self._targets = dict(targets)
        self._judged = {task: each for task, each in (row_rules or {}).items() if each.any}
        self._shapes: dict[str, Shape] = {}
        self._sampled: tuple[str, ...] = ()
        self.sources: dict[str, Any] = {}
        """Inputs, tasks and columns of each source, by name, where data have several; as JSON."""
        self.strings: tuple[str, ...] = ()
        """Columns that held texts, or lists, in training, so that sources keep them as texts."""

    def fit(self, table: pa.Table, at: At = _raising) -> None:
        """Learn everything from the training rows.

        Columns that are missing, cannot be read, or are both input and target raise `InputError`.

        Args:
            table: The training rows, and nothing else.
            at: Called with ("inputs", name) or ("tasks", name); that input or target is fitted in
                the context it returns, which may collect errors to report them together.
        """
        self.fit_all([Observed(table, table, self._inputs, self._targets, at)])

    def fit_all(self, sources: Sequence["Observed"]) -> None:
        """Learn everything from the training rows of several sources; see `fit`.

        Args:
            sources: The training rows of each. Inputs learn from all sources that have them, in
                order, and so do tasks.
        """
        self._shapes = {}
        strings: dict[str, None] = {}
        for each in sources:
            strings |= dict.fromkeys(self._strings_in(each))
        self.strings = tuple(strings)
        fitted = sum(self._learned(name, sources) for name in self._inputs)
        inputs = self._inputs if fitted == len(self._inputs) else NO_INPUTS
        for task, target in self._targets.items():
            own = [each for each in sources if task in each.tasks]
            labels = target.columns(own[0].labelled.column_names)
            tables = [each.labelled for each in own]
            own = [each._replace(labelled=self.judged(task, each.labelled)) for each in own]
            table, at = _united(task, own, labels, inputs)
            with at("tasks", task):  # without words, a text may just have failed
                if task in self._judged:
                    held = any(self._judged[task].holds(each).any() for each in tables)
                    self._judged[task].require_some(held)
                target.fit(table, inputs)

    def fit_parts(self, empty: pa.Table, parts: Iterable[tuple[pa.Table, At]]) -> None:
        """Learn everything from training rows that come in parts; see `fit`.

        Targets learn from all labels of few rows, and from a random sample of many.

        Args:
            empty: The columns, without rows.
            parts: The training rows in order, each part with what collects its errors.
        """
        self._shapes = {}
        names = empty.column_names
        self.strings = tuple(
            self._strings_in(Observed(empty, empty, self._inputs, self._targets, _raising))
        )
        learners = {task: self._learner(task, names) for task in self._targets}
        seen, count = dict.fromkeys(self._inputs, 0), 0
        at: At = _raising
        for table, at in parts:  # the last is used below
            for name, each in self._inputs.items():
                if seen[name] == count:  # it had no error before
                    with at("inputs", name):
                        each.observe(table)
                        seen[name] += 1
            for task, learner in learners.items():
                with at("tasks", task):
                    learner.add(self.judged(task, table), self._holding(task, table))
            count += 1
        finished = 0
        for name, each in self._inputs.items():
            if seen[name] == count:
                with at("inputs", name):
                    each.finish()
                    finished += 1
        inputs = self._inputs if finished == len(self._inputs) else NO_INPUTS
        for task, learner in learners.items():
            with at("tasks", task):
                if task in self._judged:
                    self._judged[task].require_some(learner.holding)
                self._targets[task].fit(learner.table(), inputs)
                self._sampled += learner.notes(f"task {task!r}")

    def _learner(self, task: str, names: Sequence[str]) -> LabelSample:
        target = self._targets[task]
        columns = [*target.columns(names), *target.beside]
        if target.reads_inputs:
            columns += [name for each in self._inputs.values() for name in each.columns(names)]
        return LabelSample(columns, distinct=target.distinct)

    def _holding(self, task: str, table: pa.Table) -> bool:
        return task not in self._judged or bool(self._judged[task].holds(table).any())

    def _strings_in(self, source: "Observed") -> list[str]:
        """Return the columns of texts among those that are read, which must be there."""
        rows, labelled = source.rows, source.labelled
        read = {name: self._inputs[name].columns(rows.column_names) for name in source.inputs}
        there = labelled.column_names
        predicted = {task: self._targets[task].columns(there) for task in source.tasks}
        if rows is labelled:
            self._refuse_leaks(read, predicted)
        columns = [name for names in read.values() for name in names]
        labels = [name for names in predicted.values() for name in names]
        labels += [c for task in source.tasks for c in self._beside(task)]
        if rows is labelled:
            columns, labels = [*columns, *labels], []
        require_columns(rows, columns, "inputs and tasks")
        require_columns(labelled, labels, "tasks")
        return list(dict.fromkeys([*_strings(rows, columns), *_strings(labelled, labels)]))

    def _beside(self, task: str) -> tuple[str, ...]:
        """Return the columns that a task reads beside its labels."""
        return self._judged[task].columns if task in self._judged else ()

    def _learned(self, name: str, sources: Sequence["Observed"]) -> bool:
        """Let an input learn from all sources that have it; return whether it could."""
        given, seen, finished = self._inputs[name], 0, False
        own = [each for each in sources if name in each.inputs]
        for each in own:
            with each.at("inputs", name):
                given.observe(each.rows)
                seen += 1
        with own[-1].at("inputs", name):
            if seen == len(own):
                given.finish()
                finished = True
        return finished

    def extended(self, targets: Mapping[str, Target], table: pa.Table) -> "Preprocessing":
        """Return the same inputs and targets, as they are, and further targets fitted on a table.

        Args:
            targets: By task, tasks that are new here.
            table: Rows with their labels.

        Returns:
            New preprocessing, which shares its inputs with this one.
        """
        made = Preprocessing(self._inputs, {**self._targets, **targets}, self._judged)
        for target in targets.values():
            target.fit(table, self._inputs)
        labels = [name for each in targets.values() for name in each.columns(table.column_names)]
        made.sources = self.sources
        made.strings = (*self.strings, *_strings(table, labels))
        return made

    def apply(
        self, table: pa.Table, at: At = _raising, only: Collection[str] | None = None
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
        self, table: pa.Table, at: At = _raising, only: Collection[str] | None = None
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
        if task not in self._judged:
            return table
        labels = self._targets[task].columns(table.column_names)
        return self._judged[task].blanked(table, labels)

    def weights(
        self, table: pa.Table, targets: Mapping[str, NDArray[Any]], at: At = _raising
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
        for task, rows in self._judged.items():
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
        inputs = {
            name: _written(f"input {name!r}", INPUTS.name_of(type(each)), each.state())
            for name, each in self._inputs.items()
        }
        targets = {
            task: _written(f"task {task!r}", LABELS.name_of(type(target)), target.state())
            for task, target in self._targets.items()
        }
        content = {
            "version": _VERSION,
            "strings": list(self.strings),
            "inputs": inputs,
            "targets": targets,
        }
        if self._judged:
            content["judged"] = {task: each.state() for task, each in self._judged.items()}
        if self.sources:
            content["sources"] = self.sources
        return json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n"

    @staticmethod
    def from_json(text: str) -> "Preprocessing":
        """Return the fitted preprocessing that `to_json` wrote.

        Raises:
            InputError: If the text is something else, or of a later version.
        """
        try:
            content = json.loads(text)
            version = content["version"]
            if version != _VERSION:
                raise InputError(
                    f"the preprocessing has the format version {version}, expected {_VERSION}; use "
                    "the version of motet that wrote it"
                )
            inputs = {name: _loaded(name, each) for name, each in content["inputs"].items()}
            targets: dict[str, Target] = {}
            for task, each in content["targets"].items():
                targets[task] = LABELS[each["type"]](task)
                targets[task].load(each["state"])
            judged = {
                task: JudgedRows(task, **each) for task, each in content.get("judged", {}).items()
            }
            made = Preprocessing(inputs, targets, judged)
            made.strings = tuple(content["strings"])
            made.sources = content.get("sources", {})
        except InputError:
            raise
        except MALFORMED as error:
            raise InputError(
                f"the preprocessing is not what motet writes ({reason(error)}); "
                "use the preprocessing.json of a model folder, unchanged"
            ) from None
        return made

    def _refuse_leaks(
        self, read: Mapping[str, tuple[str, ...]], predicted: Mapping[str, tuple[str, ...]]
    ) -> None:
        for task, labels in predicted.items():
            for name, columns in read.items():
                both = [column for column in columns if column in labels]
                if both:
                    raise InputError(
                        f"input {name!r} reads the column {both[0]!r}, which task {task!r} "
                        "predicts; remove it from the inputs"
                    )


def _united(
    task: str, sources: Sequence[Observed], labels: Sequence[str], inputs: Mapping[str, Input]
) -> tuple[pa.Table, At]:
    """Return the rows that a task learns from: those of its source, or what its sources share."""
    if len(sources) == 1 or not labels:
        return sources[0].labelled, sources[0].at
    shared = set.intersection(*(set(each.labelled.column_names) for each in sources))
    read = {c for each in inputs.values() for c in each.columns(()) if c in shared}
    names = list(dict.fromkeys([*labels, *sorted(read)]))
    tables = {f"source {n + 1}": e.labelled.select(names) for n, e in enumerate(sources)}
    with owned(f"task {task!r}"):
        found = unite(tables)
    return found, sources[0].at


def _strings(table: pa.Table, columns: Iterable[str]) -> tuple[str, ...]:
    known = dict.fromkeys(columns)
    return tuple(name for name in known if _is_spelt(table[name].type))


def _is_spelt(kind: pa.DataType) -> bool:
    """Return whether a column is text in formats that have no lists."""
    inner = kind.value_type if is_list(kind) else kind
    return bool(pa.types.is_string(inner) or (is_list(kind) and pa.types.is_integer(inner)))


def _written(where: str, member: str, state: dict[str, Any]) -> dict[str, Any]:
    """Return what is written of an input or target, once JSON is known to hold it."""
    try:
        json.dumps(state, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{where}: state() of {member} returned what JSON cannot hold ({reason(error)}); "
            "convert arrays with tolist(), and write None instead of NaN"
        ) from None
    return {"type": member, "state": state}


def _loaded(name: str, content: Mapping[str, Any]) -> Input:
    made: Input = INPUTS[content["type"]](name)
    made.load(content["state"])
    return made
