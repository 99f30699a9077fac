"""Groups of tasks that were found while training."""

from collections.abc import Mapping
from typing import Any

from motet.report.elements import Element, Figure, Section, Table, capped
from motet.report.facts import RunFacts
from motet.report.marks import heat_map


def groups(run: RunFacts) -> Section | None:
    """Return the section; None if no groups were found while training."""
    found = [(record["epoch"], record["groups"]) for record in run.epochs if record.get("groups")]
    if not found:
        return None
    epoch, last = found[-1]
    changes = [(at, each) for at, each in found if each["changed"]]
    rows = [
        (at, number, ", ".join(g)) for at, e in changes for number, g in enumerate(e["groups"], 1)
    ]
    parts: list[Element] = (
        [Table(("from the end of epoch", "group", "tasks"), rows)] if rows else []
    )
    if last["tasks"]:
        parts = [_map(epoch, last), *parts]
    note = (
        f"Found by {last['by']} {_times(len(found))}, and changed {_times(len(changes))}; networks "
        "of one group are tied to each other. All tasks were one group before."
    )
    return Section("Groups of tasks", parts, note)


def _times(count: int) -> str:
    return {0: "never", 1: "once"}.get(count, f"{count} times")


def _map(epoch: int, found: Mapping[str, Any]) -> Figure:
    """Draw the similarities, tasks of a group side by side."""
    tasks = list(found["tasks"])
    order = [task for group in found["groups"] for task in group if task in tasks]
    places = [tasks.index(task) for task in order]
    matrix = [[found["similarity"][i][j] if i != j else None for j in places] for i in places]
    pairs = [
        (order[i], order[j], value)
        for i, row in enumerate(matrix)
        for j, value in enumerate(row)
        if i < j and value is not None
    ]
    pairs.sort(key=lambda pair: -pair[2])
    number = {task: at for at, group in enumerate(found["groups"]) for task in group}
    inside = [value for a, b, value in pairs if number[a] == number[b]]
    between = [value for a, b, value in pairs if number[a] != number[b]]
    means = [
        f"{name} {sum(values) / len(values):.2f}"
        for name, values in (("within groups", inside), ("between groups", between))
        if values
    ]
    what = {
        "gradients": "Mean cosine of gradients",
        "performance": "Correlation of errors on validation rows",
        "data": "CKA of representations of validation rows",
    }[found["by"]]
    return heat_map(
        f"Similarity of tasks at the end of epoch {epoch}",
        matrix,
        rows=order,
        columns=order,
        x="",
        y="",
        text=f"{what}, on average {' and '.join(means) or 'unknown'}.",
        table=Table(("task", "other task", "similarity"), capped(pairs), bars=(2,)),
        scale="diverging",
        limits=(-1, 1),
    )
