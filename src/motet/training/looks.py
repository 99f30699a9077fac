"""When task gradients are measured beside training, and what is measured of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from motet.options import AnalysisOptions
from motet.training.records import LOG_EVERY

LARGEST_SHARE = 0.03
"""Share of the passes of training that ``auto`` adds at most."""
_BACKWARD = 2 / 3
"""Share of a step that a backward pass takes: twice a forward pass."""
_ONE_TASK = 200
"""Steps between two measurements of a task that has no other to be compared with."""


@dataclass(frozen=True)
class Look:
    """What is measured at a step."""

    layers: bool
    """Whether inner products are computed by layer."""
    exact: bool
    """Whether affinity is measured by forward passes after tried steps."""


ON_THE_WHOLE = Look(layers=False, exact=False)
"""All shared parameters at once."""


class Looks:
    """Decides at which steps task gradients are measured.

    Args:
        options: The option ``analysis`` of training; None measures nothing beside training.
    """

    def __init__(self, options: AnalysisOptions | None) -> None:
        given: Mapping[str, Any] = options or {}
        self._active = options is not None
        self._every = given.get("every", "auto")
        self._layers = given.get("layers", True)
        affinity = given.get("affinity", "first_order")
        self._exact = affinity == "exact"
        self.first_order = self._active and affinity == "first_order"
        """Whether affinity follows from inner products, wherever these are known."""

    def every(self, tasks: int) -> int:
        """Return the steps between two looks; those of ``auto`` add `LARGEST_SHARE` at most.

        Args:
            tasks: Number T of tasks: a look costs T backward passes, and with ``exact`` affinity T
                forward passes.
        """
        if self._every != "auto":
            return int(self._every)
        if tasks < 2:
            return _ONE_TASK
        cost = tasks * (1.0 if self._exact else _BACKWARD)
        return LOG_EVERY * ceil(cost / LARGEST_SHARE / LOG_EVERY)

    def of(self, tasks: int, *, compared: bool) -> Look | None:
        """Return what a look measures; None where there are none.

        Args:
            tasks: Number of tasks.
            compared: Whether the balancer gives the inner products of whole gradients itself.
        """
        several = tasks > 1
        look = Look(self._layers and several, self._exact and several)
        needed = not compared or look.layers or look.exact
        return look if self._active and needed else None
