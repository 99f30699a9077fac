"""What the model predicts, task by task: figures, and the rows that are most wrong."""

from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

from motet.report.elements import Element, Lines, Panel, Section, Table, Titled
from motet.report.facts import (
    ClassRows,
    ListRows,
    NumberRows,
    RankedRows,
    RunFacts,
    TagRows,
    TaskFacts,
    TaskRows,
    TextRows,
)
from motet.report.learning import task_curves
from motet.report.marks import points
from motet.report.rows import classes, lists, numbers, rankings, tags, texts
from motet.report.rows.wrong import Wrong

_MODULES: Mapping[type[TaskRows], ModuleType] = {
    ClassRows: classes,
    NumberRows: numbers,
    TagRows: tags,
    ListRows: lists,
    RankedRows: rankings,
    TextRows: texts,
}
_MANY = 16
"""Tasks above which fewer rows of each are shown."""
_LONGEST = 300
"""Characters of an input that are shown."""


class Shown(NamedTuple):
    """A row that is shown as one of the most wrong."""

    source: str
    row: int
    """Its number in the source."""
    wrong: Wrong


def results(run: RunFacts) -> Section | None:
    """Return the section; None before the first epoch."""
    panels: list[Element] = []
    for task in run.tasks.values():
        parts = [
            *_figures(task, 2 * points(len(run.tasks))),
            *_curves(run, task.name),
            *_wrong_rows(run, task),
        ]
        if task.note:
            parts.append(Lines([task.note]))
        if parts:
            panels.append(Panel(task.name, f"{task.type}, {task.summary}".rstrip(", "), parts))
    tested = any(task.test for task in run.tasks.values())
    return Section("Tasks", panels, "On test rows." if tested else "") if panels else None


def _figures(task: TaskFacts, most: int) -> Iterator[Element]:
    for rows in task.test:
        yield from _MODULES[type(rows)].figures(rows, most)


def _curves(run: RunFacts, task: str) -> Iterator[Element]:
    found = task_curves(run, task)
    if found is not None:
        yield found


def most_wrong(run: RunFacts) -> dict[str, list[tuple[str, list[Shown]]]]:
    """Find the rows that are most wrong of each task.

    Returns:
        By task, what their degree is, and the rows, for each output.
    """
    count = 10 if len(run.tasks) <= _MANY else 5
    return {
        name: [
            (
                _MODULES[type(rows)].MEASURE,
                [
                    Shown(rows.source, int(rows.rows[each.place]), each)
                    for each in _MODULES[type(rows)].wrong(rows, count)
                ],
            )
            for rows in task.test
        ]
        for name, task in run.tasks.items()
    }


def _wrong_rows(run: RunFacts, task: TaskFacts) -> Iterator[Element]:
    for measure, shown in most_wrong(run)[task.name]:
        if shown:
            several = any(each.source for each in shown)
            inputs = any((each.source, each.row) in run.inputs for each in shown)
            head = ("source", "row") if several else ("row",)
            head = (*head, "true", "predicted", measure, *(["inputs"] if inputs else []))
            rows = [
                (
                    *((each.source,) if several else ()),
                    each.row,
                    _cut(each.wrong.truth),
                    _cut(each.wrong.predicted),
                    each.wrong.degree,
                    *([_said(run.inputs.get((each.source, each.row), {}))] if inputs else []),
                )
                for each in shown
            ]
            yield Titled("The rows that are most wrong", Table(head, rows))


def _said(inputs: Mapping[str, Any]) -> str:
    return " · ".join(f"{name}: {_cut(str(value))}" for name, value in inputs.items())


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def rows_to_read(run: RunFacts) -> dict[str, Sequence[int]]:
    """Return the rows whose inputs the report shows, by source."""
    found: dict[str, set[int]] = {}
    for outputs in most_wrong(run).values():
        for _, shown in outputs:
            for each in shown:
                found.setdefault(each.source, set()).add(each.row)
    return {source: sorted(rows) for source, rows in found.items()}
