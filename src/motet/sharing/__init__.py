"""Sharing schemes: which parameters tasks have in common."""

from typing import Any

from motet.options import PositiveInt, Sequence, StrictBool, checked
from motet.options import create as _create
from motet.registry import SHARING
from motet.sharing.adapted import Adapted, with_adapters
from motet.sharing.base import Representation, SharedModule, Sharing, Special
from motet.sharing.by_task import ByTask
from motet.sharing.conditioned import DEFAULT_WIDTH, Conditioned
from motet.sharing.direct import Direct
from motet.sharing.features import Features
from motet.sharing.grouped import Grouped
from motet.sharing.hard import Hard
from motet.sharing.stages import Backbone, Stages

__all__ = [
    "Adapted",
    "Backbone",
    "ByTask",
    "Conditioned",
    "Direct",
    "Features",
    "Grouped",
    "Hard",
    "Representation",
    "SharedModule",
    "Sharing",
    "Special",
    "Stages",
    "available",
    "create",
    "with_adapters",
]


@checked
def create(
    name: str,
    *,
    groups: Sequence[Sequence[str]] | None = None,
    task_embedding: PositiveInt | StrictBool | None = None,
    **options: Any,
) -> Sharing:
    """Build the options of a sharing scheme by name.

    Args:
        name: A name of ``available()``.
        groups: Groups of tasks; each shares on its own, and nothing between groups. All tasks are
            one group if left out.
        task_embedding: Width of a learned vector of each task that conditions the layers; true is
            64. None if left out.
        options: The scheme's own options.

    Returns:
        The scheme; its ``build`` makes the module.

    Raises:
        InputError: If the name or an option is unknown, or an option has a wrong value.
    """
    scheme: Sharing = _create(SHARING, name, **options)
    if task_embedding:
        scheme = Conditioned(scheme, DEFAULT_WIDTH if task_embedding is True else task_embedding)
    return scheme if groups is None else Grouped(scheme, groups)


def available() -> list[str]:
    """Return the names of all sharing schemes."""
    return list(SHARING)
