"""What the tasks of the run that a run started from lost."""

from collections.abc import Mapping
from typing import Any

from motet.report.elements import Section, Table
from motet.report.facts import RunFacts


def earlier(run: RunFacts) -> Section | None:
    """Return the section; None if the run did not start from another, or is not finished."""
    found: Mapping[str, Any] = run.earlier.get("tasks", {})
    if not found:
        return None
    rows = []
    for name, each in found.items():
        metric = next(iter(each["before"]))
        values = [each[at][key] for key in (metric, "score") for at in ("before", "after")]
        rows.append((name, "yes" if each["trained"] else "no: old head", metric, *values))
    heads = ("task", "trained here", "metric", "before", "after", "score before", "score after")
    paths = ", ".join(each["path"] for each in run.earlier.get("runs", ()))
    text = f"On validation rows, with the weights of {paths}, and with those of this run."
    return Section("Tasks of the earlier run", [Table(heads, rows)], text)
