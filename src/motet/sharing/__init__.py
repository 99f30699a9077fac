"""Sharing schemes: which parameters tasks have in common."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from motet.elsewhere import missing
from motet.options import PositiveInt, StrictBool, TaskGroups, checked, declares
from motet.options import create as _create
from motet.options.mappings import fixed_shape
from motet.problems import InputError
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


if not TYPE_CHECKING:  # type checkers know what is here

    def __getattr__(name: str) -> Any:
        raise missing(__name__, name)


@checked
def create(
    name: str,
    *,
    groups: TaskGroups | None = None,
    task_embedding: PositiveInt | StrictBool | None = None,
    **options: Any,
) -> Sharing:
    """Build the options of a sharing scheme by name.

    Args:
        name: A name of ``available()``.
        groups: Groups of tasks; each shares on its own, and nothing between groups. All tasks are
            one group if left out. With ``soft`` also how they are found while training.
        task_embedding: Width of a learned vector of each task that conditions the layers; true is
            64. None if left out.
        options: The scheme's own options.

    Returns:
        The scheme; its ``build`` makes the module.

    Raises:
        InputError: If the name or an option is unknown, or an option has a wrong value.
    """
    lists: Sequence[Sequence[str]] | None = None
    if isinstance(groups, Mapping):
        _check_found(name, groups["by"], embedded=bool(task_embedding))
        options["groups"] = groups
    else:
        lists = groups
        if lists is not None and declares(SHARING, name, "groups"):
            _create(SHARING, name, groups=lists, **options)  # refuses what groups do not fit
    scheme: Sharing = _create(SHARING, name, **options)
    if task_embedding:
        scheme = Conditioned(scheme, DEFAULT_WIDTH if task_embedding is True else task_embedding)
    return scheme if lists is None else Grouped(scheme, lists)


def _check_found(name: str, by: str, *, embedded: bool) -> None:
    """Check that a scheme can find groups while it trains."""
    if not declares(SHARING, name, "groups"):
        raise InputError(fixed_shape(name), option="groups")
    if embedded and by == "gradients":
        raise InputError(
            "found groups by gradients, which are compared where tasks start equal; expected no "
            "embeddings that differ between tasks; remove task_embedding, or choose groups by "
            "performance or data",
            option="task_embedding",
        )


def available() -> list[str]:
    """Return the names of all sharing schemes."""
    return list(SHARING)
