"""How a finished run on several sources reads rows: each task from the inputs of its source."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, final

import pyarrow as pa
from numpy.typing import NDArray

from motet.data.arrays import ArrayData
from motet.data.batches import Data
from motet.data.lacking import lacking_in
from motet.data.notes import Notes
from motet.data.preprocessing import Preprocessing
from motet.data.row_names import RowName, named
from motet.data.several import Sources
from motet.model import MultiTaskModel
from motet.problems import InputError, hint
from motet.run.readers import batch_size
from motet.run.renaming import renamed


@final
class SourcesReader:
    """Reads rows like those of one of several sources, which may have different inputs.

    A task is predicted from the inputs of its source alone, those that it was trained with. Rows
    may come from anywhere: a task can be predicted where the columns of those inputs are there.
    """

    def __init__(self, preprocessing: Preprocessing, model: MultiTaskModel) -> None:
        self.preprocessing, self.model = preprocessing, model

    def served(self, table: pa.Table, tasks: Sequence[str]) -> dict[str, str]:
        """Return the source whose inputs each task is predicted from: that with most inputs.

        Raises:
            InputError: If the rows lack an input of a task; the message names those that can be
                predicted.
        """
        fitting = [name for name in self._sources if not self._lacks(table, name)]
        fitting.sort(key=lambda name: -len(self._sources[name]["inputs"]))
        found = {
            task: next((name for name in fitting if task in self._sources[name]["tasks"]), None)
            for task in tasks
        }
        served = {task: name for task, name in found.items() if name is not None}
        left = [task for task in tasks if task not in served]
        if left:
            able = f"; it can be used for --tasks {','.join(served)}" if served else ""
            raise InputError(
                f"the data lack inputs of {', '.join(left)}: {self._what_is_lacking(table, left)}"
                f"{able}"
            )
        return served

    def labelled(
        self, table: pa.Table, chosen: list[str], source: str | None
    ) -> tuple[list[str], str]:
        """Return the tasks of a source, that which the rows fit if none is named.

        Raises:
            InputError: If the rows fit no source, or several and none is named.
        """
        found = self._fitting(table, chosen) if source is None else [self._known(source)]
        if len(found) != 1:
            raise InputError(
                f"the rows fit the sources {' and '.join(found)}; choose one: --source {found[0]}, "
                "or source= in Python"
                if found
                else f"the rows fit no source: {self._what_is_lacking(table, chosen)}"
            )
        own = [task for task in chosen if task in self._sources[found[0]]["tasks"]]
        if not own:
            raise InputError(
                f"source: found {found[0]!r}, which has no labels of {', '.join(chosen)}; expected "
                f"tasks of it: {', '.join(self._sources[found[0]]['tasks'])}"
            )
        return own, found[0]

    def only(self, source: str | None) -> str:
        if source is None:
            name = next(iter(self._sources))
            raise InputError(
                f"expected the source whose inputs are read: source={name!r}, for example"
            )
        return self._known(source)

    @property
    def _sources(self) -> Mapping[str, Mapping[str, Any]]:
        return self.preprocessing.sources

    def _known(self, source: str) -> str:
        if source not in self._sources:
            raise InputError(f"no source is named {source!r}; {hint(source, self._sources)}")
        return source

    def _fitting(self, table: pa.Table, tasks: Iterable[str]) -> list[str]:
        """Return the sources whose inputs rows have, and labels of some of the tasks."""
        found = []
        for name, each in self._sources.items():
            view = renamed(table, self._renames(table, name))
            labels = [
                column
                for task in tasks
                if task in each["tasks"]
                for column in self.preprocessing.target(task).columns(view.column_names)
            ]
            if not self._lacks(table, name) and any(each in view.column_names for each in labels):
                found.append(name)
        return found

    def _what_is_lacking(self, table: pa.Table, tasks: Iterable[str]) -> str:
        tasks = set(tasks)
        return "; ".join(
            f"{name} has {', '.join(each['inputs'])}, and they lack "
            f"{', '.join(map(repr, self._lacks(table, name))) or 'its labels'}"
            for name, each in self._sources.items()
            if tasks.intersection(each["tasks"])
        )

    def _lacks(self, table: pa.Table, source: str) -> list[str]:
        """Return the columns of a source's inputs that a table lacks."""
        there = renamed(table, self._renames(table, source)).column_names
        chosen = self._sources[source]
        return [
            chosen["columns"].get(name, column)
            for name in chosen["inputs"]
            for column in self.preprocessing.fitted_inputs[name].columns(there)
            if column not in there
        ]

    def _renames(self, table: pa.Table, source: str) -> dict[str, str]:
        """Return the columns to rename to those of inputs, where rows have the former."""
        inputs = self.preprocessing.fitted_inputs
        return {
            inputs[name].columns(())[0]: column
            for name, column in self._sources[source]["columns"].items()
            if column in table.column_names
        }

    def as_split(self, table: pa.Table, source: str) -> pa.Table:
        return renamed(table, self._renames(table, source))

    def view(self, table: pa.Table, source: str) -> pa.Table:
        """Return rows with the columns that the inputs of a source read; others have no values."""
        view = renamed(table, self._renames(table, source))
        for name in self._sources[source]["lacking"]:
            for column in self.preprocessing.fitted_inputs[name].columns(view.column_names):
                if column in view.column_names:
                    view = view.drop_columns([column])
                view = view.append_column(column, pa.nulls(len(view)))
        return view

    def batch_size(self, source: str) -> int:
        own = self.preprocessing.shapes().own
        return batch_size(any(name in own for name in self._read_inputs(source)))

    def _read_inputs(self, source: str) -> list[str]:
        chosen = self._sources[source]
        return [*chosen["inputs"], *chosen["lacking"]]

    def inputs(
        self, name_row: RowName, view: pa.Table, source: str = ""
    ) -> tuple[dict[str, Any], Mapping[str, Notes]]:
        with named(name_row):
            inputs, notes = self.preprocessing.apply(view, only=self._read_inputs(source))
        has = self._sources[source]["inputs"]
        return inputs, {name: each for name, each in notes.items() if name in has}

    def data(
        self,
        inputs: dict[str, NDArray[Any]],
        targets: dict[str, Any],
        row_weights: Mapping[str, Any] | None = None,
    ) -> Data:
        device = next(self.model.parameters()).device
        without = lacking_in(self.preprocessing.shapes(), inputs)
        rows = ArrayData(inputs, targets, row_weights)
        return Sources({"rows": rows}, lacking={"rows": without}).to(device)
