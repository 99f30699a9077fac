"""Rows: the gradient of each task on all shared leaves, T' passes through the shared part."""

from motet.balancing.engine.call import BackwardCall
from motet.balancing.engine.result import BackwardResult
from motet.balancing.engine.task_rows import by_task_rows


def rows(call: BackwardCall) -> BackwardResult:
    """Balance on the gradient of each task."""
    return by_task_rows(call, "rows")
