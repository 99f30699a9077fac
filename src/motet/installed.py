"""Members that other installed packages offer as entry points, found without importing them.

A package offers its balancers in the group ``motet.balancers``, its tasks in ``motet.tasks``, and
so on: "motet." and the word that `motet list` takes::

    [project.entry-points."motet.balancers"]
    worst = "my_package.balancers:Worst"
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from motet.problems import InputError, reason


@dataclass(frozen=True)
class Offer:
    """A member of another package, not imported yet."""

    kind: str
    package: str
    point: EntryPoint

    def load(self) -> Any:
        """Import the member.

        Returns:
            The class or function.

        Raises:
            InputError: If it cannot be imported.
        """
        try:
            return self.point.load()
        except Exception as error:  # whatever the import of another package raises
            raise InputError(
                f"the {self.kind} {self.point.name!r} of the package {self.package} cannot be "
                f"imported: {reason(error)}; update {self.package}, or uninstall it"
            ) from error


def offers(group: str, kind: str, known: Mapping[str, Any]) -> dict[str, Offer]:
    """Find the members that other packages offer in a group.

    Args:
        group: Name of the group of entry points.
        kind: Kind of the members, for errors.
        known: Members by name that are known without the group.

    Returns:
        Members by name.

    Raises:
        InputError: If two packages use one name, or one cannot be used in a config.
    """
    found: dict[str, Offer] = {}
    for point in _installed().select(group=group):
        assert point.dist is not None  # it has one unless it was made by hand
        name, package = point.name, point.dist.name
        if name in known or name in found:
            before = found.get(name, known.get(name))
            other = before.package if isinstance(before, Offer) else "motet"
            raise InputError(
                f"the {kind} name {name!r} is used by two packages, {other} and {package}; "
                f"uninstall {package}, or choose another name in its entry points"
            )
        if not name.isidentifier():
            raise InputError(
                f"the package {package} offers the {kind} name {name!r}; expected letters, digits "
                "and _ in the names of its entry points"
            )
        found[name] = Offer(kind, package, point)
    return found


@functools.cache
def _installed() -> Any:
    return entry_points()  # reads a file of every installed package, a few milliseconds in all
