"""Inputs and targets by name, and the rows that each task is trained and evaluated on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from motet.data.inputs.base import Input
from motet.data.judged_rows import JudgedRows
from motet.data.selection import listed
from motet.data.targets import Target
from motet.figures import counted
from motet.problems import InputError


@dataclass(frozen=True)
class Members:
    """The inputs and targets of a run."""

    inputs: Mapping[str, Input]
    targets: Mapping[str, Target]
    rules: Mapping[str, JudgedRows] = field(default_factory=dict)
    """For some tasks, the rows that they are trained and evaluated on, and their weights."""
    fitted: frozenset[tuple[str, str]] = frozenset()
    """("inputs", name) or ("tasks", name) of those that learned everything before."""

    def is_fitted(self, section: str, name: str) -> bool:
        """Return whether an input or a task learned everything before, in an earlier run."""
        return (section, name) in self.fitted

    def fit(self, task: str, table: pa.Table, inputs: Mapping[str, Input]) -> None:
        """Fit the target of a task; of one that is fitted, check that it knows the labels.

        Raises:
            InputError: If it cannot learn from the labels, or does not know one.
        """
        target = self.targets[task]
        if not self.is_fitted("tasks", task):
            target.fit(table, inputs)
            return
        unseen = target.unseen(table)
        if unseen:
            raise InputError(
                f"{counted(sum(unseen.values()), 'training row')} with labels that the earlier run "
                f"does not know: {listed(map(str, unseen))}; its head cannot predict them. Give "
                "the task another name, with column: " + target.column + ", so that it gets a new "
                "head"
            )

    def judged(self, task: str, table: pa.Table) -> pa.Table:
        """Return rows whose labels of a task are missing where it is not evaluated on them."""
        if task not in self.rules:
            return table
        labels = self.targets[task].columns(table.column_names)
        return self.rules[task].blanked(table, labels)

    def holds(self, task: str, table: pa.Table) -> bool:
        """Return whether a task is trained on any of these rows."""
        return task not in self.rules or bool(self.rules[task].holds(table).any())

    def require_some(self, task: str, held: bool) -> None:
        """Raise `InputError` if a task with rules is trained on no row at all."""
        if task in self.rules:
            self.rules[task].require_some(held)

    def beside(self, task: str) -> tuple[str, ...]:
        """Return the columns that a task reads beside its labels."""
        return self.rules[task].columns if task in self.rules else ()
