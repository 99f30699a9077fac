"""The data of a run: rows, labels and inputs."""

from collections.abc import Mapping
from typing import Any

from motet.report.elements import Element, Lines, Section, Table, Titled
from motet.report.facts import RunFacts
from motet.report.marks import bars

_WIDE = 8
"""Tasks above which their bars take the width of the page."""
_CLASSES = 20
"""Classes of a task that are listed, the rarest of more."""


def data(run: RunFacts) -> Section | None:
    """Return the section; None for a run without ``data.json``."""
    sources: Mapping[str, Any] = run.data.get("sources", {})
    if not sources:
        return None
    splits = [
        split
        for split in ("train", "validation", "test", "calibration")
        if any(source["rows"].get(split) for source in sources.values())
    ]
    several = len(sources) > 1
    parts: list[Element] = [
        Titled(
            "Rows",
            Table(
                ("source", *splits),
                [
                    (
                        f"{name}: {source['title']}" if name else source["title"],
                        *(source["rows"].get(split, 0) for split in splits),
                    )
                    for name, source in sources.items()
                ],
            ),
        )
    ]
    labels = [
        (name, source, task, found)
        for name, source in sources.items()
        for task, found in source["tasks"].items()
    ]
    names = [f"{task} ({name})" if several else task for name, _, task, _ in labels]
    parts.append(
        bars(
            "Labelled rows of each task",
            names,
            {split: [found["rows"].get(split, 0) for *_, found in labels] for split in splits},
            x="rows with a label",
            text=_labelled(labels),
            stacked=True,
            wide=len(names) > _WIDE,
        )
    )
    rare = _classes(labels, splits)
    if rare:
        parts.append(
            Titled(
                "Labels of each class",
                Table(("task", "class", *splits), [r[1:] for r in rare], [r[0] for r in rare]),
            )
        )
    inputs = run.data.get("inputs", [])
    parts.append(
        Titled(
            "Inputs",
            Table(
                ("input", "type", "reason"), [(i["name"], i["type"], i["reason"]) for i in inputs]
            ),
        )
    )
    chosen = run.data.get("chosen", [])
    if chosen:
        rows = [(c["key"], str(c["value"]), c["reason"]) for c in chosen]
        parts.append(Titled("Settings chosen by the data", Table(("key", "value", "reason"), rows)))
    notes = [n for source in sources.values() for n in (*source["split"], *source["notes"])]
    if notes:
        parts.append(Lines(notes, "Notes on the rows"))
    return Section("Data", parts)


def _labelled(labels: list[Any]) -> str:
    counts = {task: found["rows"].get("train", 0) for *_, task, found in labels}
    low, high = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    if counts[low] == counts[high]:
        return (
            f"{counts[low]:,} labelled training rows{' of each task' if len(counts) > 1 else ''}."
        )
    return f"Labelled training rows: from {counts[low]:,} ({low}) to {counts[high]:,} ({high})."


def _classes(labels: list[Any], splits: list[str]) -> list[tuple[Any, ...]]:
    rows = []
    for _, _, task, found in labels:
        classes = found["classes"]
        names = sorted(classes, key=lambda name: classes[name].get("train", 0))
        listed = list(classes) if len(names) <= _CLASSES else names[:_CLASSES]
        for place, name in enumerate(listed):
            counts = (classes[name].get(split, 0) for split in splits)
            rows.append((task, task if place == 0 else "", name, *counts))
        if len(names) > _CLASSES:
            left = f"(the {_CLASSES} rarest of {len(names):,})"
            rows.append((task, "", left, *(None for _ in splits)))
    return rows
