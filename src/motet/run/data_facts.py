"""What a run was made from, as its folder keeps it for reports: rows, labels and inputs."""

from collections.abc import Iterable
from typing import Any

from motet.run.label_counts import count_labels
from motet.run.prepared import AnyPrepared, Part
from motet.run.stream_prepared import PreparedStream


def data_facts(prepared: AnyPrepared) -> dict[str, Any]:
    """Return the content of ``data.json``.

    Returns:
        "sources": by name, the ``title``, ``rows`` by split, notes on the ``split``, and of each of
        the ``tasks`` the ``rows`` with a label by split and of each of its ``classes``; "inputs":
        ``name``, ``type`` and ``reason``; "chosen": ``key``, ``value`` and ``reason`` of settings
        that the config left to the data.
    """
    parts: Iterable[Part] = prepared.parts.values()
    first = next(iter(parts)).rows
    guesses = {each.column: each for part in parts for each in part.rows.guesses}
    return {
        "sources": {name: _source(part) for name, part in prepared.parts.items()},
        "inputs": [
            {
                "name": name,
                "type": member.type,
                "reason": guesses[name].reason if name in guesses else "",
            }
            for name, member in (prepared.config.inputs or {}).items()
        ],
        "chosen": [each._asdict() for each in first.chosen],
    }


def _source(part: Part) -> dict[str, Any]:
    summary = {task: part.preprocessing.target(task).summary for task in part.rows.tasks}
    return {
        "title": part.rows.source.title,
        "rows": part.counts,
        "split": list(part.rows.split.notes),
        "tasks": {
            each.task: {
                "summary": summary[each.task],
                "rows": dict(each.rows),
                "classes": {name: dict(counts) for name, counts in each.classes.items()},
            }
            for each in count_labels(part)
        },
        "notes": list(part.notes) if isinstance(part, PreparedStream) else [],
    }
