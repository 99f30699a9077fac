"""What sharing and fusion learned: gates, routes, masks, distances, weights of modalities."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from motet.report.elements import Element, Figure, Section, Table
from motet.report.facts import RunFacts
from motet.report.marks import Curve, curves, heat_map


def structure(run: RunFacts) -> Section | None:
    """Return the section; None if nothing was learned about sharing that can be shown."""
    parts: list[Element] = []
    described = [record["sharing"] for record in run.epochs if record.get("sharing")]
    if described:
        last: Mapping[str, Any] = described[-1]
        parts += [_map(title, rows) for title, rows in _matrices(last)]
        others = list(_numbers(last))
        if others:
            parts.append(Table(("what the sharing scheme reports", "value"), others))
    fusion = [(r["epoch"], r["fusion"]) for r in run.evaluations if r.get("fusion")]
    if fusion:
        names = dict.fromkeys(name for _, weights in fusion for name in weights)
        at = [epoch for epoch, _ in fusion]
        found: dict[str, Curve] = {n: (at, [w.get(n) for _, w in fusion]) for n in names}
        parts.append(
            curves(
                "Weights of the inputs in the fusion",
                found,
                x="epoch",
                y="mean weight on validation rows",
                text="How much each input counts where they are joined.",
                by_task=False,
            )
        )
    return Section("Sharing", parts, f"Scheme: {run.sharing}.") if parts else None


Rows = Mapping[str, Mapping[str, float | None]]
"""Numbers by row and column."""


def _matrices(found: Any, title: str = "") -> Iterator[tuple[str, Rows]]:
    """Yield all tables of numbers in what a scheme reports about itself, with their titles."""
    if isinstance(found, Mapping):
        rows = {str(name): row for name, each in found.items() if (row := _row(each)) is not None}
        if rows and len(rows) == len(found):
            yield title or "sharing", rows
            return
        for name, each in found.items():
            yield from _matrices(each, f"{title}, {name}" if title else str(name))
    elif isinstance(found, Sequence) and not isinstance(found, str):
        for place, each in enumerate(found, 1):
            yield from _matrices(each, f"{title} {place}")


def _row(found: Any) -> dict[str, float | None] | None:
    """Return one row of numbers, if it is one: a list of numbers, or a mapping to numbers."""
    if isinstance(found, Mapping) and found and all(map(_is_number, found.values())):
        return dict(found)
    if isinstance(found, list) and found and all(map(_is_number, found)):
        return {str(place): value for place, value in enumerate(found, 1)}
    if isinstance(found, list) and found and all(_load(each) for each in found):
        return {
            f"{level}.{place}": value
            for level, each in enumerate(found, 1)
            for place, value in enumerate(each["load"], 1)
        }
    return None


def _load(found: Any) -> bool:
    return isinstance(found, Mapping) and isinstance(found.get("load"), list)


def _numbers(found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what is no table: single numbers, orders of tasks, distances between pairs."""
    for name, value in found.items():
        if _is_number(value):
            yield name, value
        elif isinstance(value, list) and value and all(isinstance(each, str) for each in value):
            yield name, ", ".join(value)
        elif _row(value) is not None and isinstance(value, Mapping):
            yield from ((f"{name}: {key}", number) for key, number in value.items())


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _map(title: str, rows: Rows) -> Figure:
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    values = [[row.get(column) for column in columns] for row in rows.values()]
    table = Table(("", *columns), [(n, *v) for n, v in zip(rows, values, strict=True)])
    return heat_map(
        title.capitalize(),
        values,
        rows=list(rows),
        columns=columns,
        x="",
        y="",
        text=f"{len(rows)} × {len(columns)} numbers that the sharing scheme learned.",
        table=table,
    )
