"""When the graph is walked again: one schedule, and a mark for lists that need no second walk."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

_EVERY = 256


def is_due(calls: int) -> bool:
    """Return whether to walk the graph after so many calls of a kind: 0, 1, 2, 4, 8, ..., 256, ...

    A graph may change from step to step, most often in the first ones.
    """
    return not calls & (calls - 1) or not calls % _EVERY


class GraphLists(dict[str, Any]):
    """``task_parameters`` that the caller has compared with the graph of the same step."""


def hold_all(
    shared: list[Any], own: Mapping[str, list[Any]], reached: Mapping[Tensor, frozenset[str]]
) -> bool:
    """Return whether lists hold all leaves that each task reaches, and some shared ones.

    Args:
        shared: Shared parameters.
        own: Parameters of each task alone.
        reached: Tasks by leaf, as `reached_tasks` returns them.
    """
    known = {task: {id(leaf) for leaf in [*shared, *mine]} for task, mine in own.items()}
    common = {id(leaf) for leaf in shared}
    return any(id(leaf) in common for leaf in reached) and all(
        id(leaf) in known[task]
        for leaf, tasks in reached.items()
        for task in tasks
        if task in known
    )
