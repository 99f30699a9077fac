"""What a client, or a person, must know about a run to ask it for predictions: `/schema`."""

from typing import Any

from motet.run import Run
from motet.serving.columns import columns_of_sources
from motet.serving.limits import Limits
from motet.serving.requests import RequestModel


def description(run: Run, model: RequestModel, limits: Limits) -> dict[str, Any]:
    """Describe inputs, tasks and limits.

    Args:
        run: The run.
        model: The type of its requests.
        limits: The limits of the server.

    Returns:
        JSON.
    """
    return {
        "name": run.path.resolve().name,
        "columns": [
            {
                "name": each.name,
                "inputs": list(each.inputs),
                "kind": each.kind.name,
                "expected": each.kind.expected,
                "values": list(each.values),
            }
            for each in model.columns.values()
        ],
        "sources": columns_of_sources(run.reader.preprocessing),
        "tasks": [_task(run, name) for name in run.model.labelled_tasks],
        "limits": {
            "rows": limits.rows,
            "bytes": limits.bytes,
            "queue_rows": limits.queue_rows,
        },
    }


def _task(run: Run, name: str) -> dict[str, Any]:
    target = run.reader.preprocessing.target(name)
    known = run.calibration.tasks if run.calibration else {}
    return {
        "name": name,
        "type": run.model.tasks[name].kind,
        "classes": list(target.names),
        "columns": [name, *target.more_columns()],
        "intervals": name in known and known[name].scores is not None,
    }
