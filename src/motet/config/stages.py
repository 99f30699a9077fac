"""Stages of balancing: which balancer acts until which epoch."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from motet.config.members import Member, MemberOf
from motet.options import PositiveInt


class Balanced(Member):
    """A chosen balancer, and the options of its backward pass."""

    heads: Literal["plain", "weighted"] | None = None
    """What parameters of one task alone get from a balancer that reads gradients: ``plain``, the
    default, their own gradient; ``weighted``, that times the task's weight."""
    at: Literal["parameters", "representation"] | None = None
    """Where gradients are compared: on the shared ``parameters``, the default, or at the
    ``representation``, another method, where one pass through the encoder serves all tasks."""
    memory: Literal["normal", "low"] | None = None
    """``low`` needs a quarter of the memory for task gradients, and about twice the time."""
    gramian: Literal["auto", "rows", "layers"] | None = None
    """How inner products of task gradients are found: ``rows`` from the gradients, ``layers`` for
    linear layers from what reaches their outputs; ``auto``, the default, by what is cheaper."""

    def options(self) -> dict[str, Any]:
        """Return the options as plain values, defaults included."""
        return self.model_dump(exclude={"type", *type(self)._base.model_fields})


class Stage(Balanced):
    """A chosen balancer, and how long it acts."""

    until: PositiveInt | None = None
    """Last epoch in which the balancer acts, counted from 1; only the last stage has none."""


def _kind(value: Any) -> str:
    return "stages" if isinstance(value, (list, tuple)) else "one"


One = Annotated[Balanced, MemberOf("balancer", base=Balanced), Tag("one")]
Several = Annotated[
    tuple[Annotated[Stage, MemberOf("balancer", base=Stage)], ...],
    Field(min_length=1),
    Tag("stages"),
]
Balancing = Annotated[One | Several, Discriminator(_kind)]
"""One balancer, or stages of several."""


def wrong_end(ends: Sequence[int | None]) -> tuple[int, str] | None:
    """Find the first stage that ends at a wrong epoch.

    Returns:
        The place of the stage and the message; None if there is none.

    Example:
        >>> wrong_end([5, 3, None])
        (1, 'found 3, expected an epoch after 5, where the stage before ends')
    """
    before = 0
    for place, until in enumerate(ends[:-1]):
        if until is None:
            return place, "missing, expected the last epoch of the stage, as another stage follows"
        if until <= before:
            return (
                place,
                f"found {until}, expected an epoch after {before}, where the stage before ends",
            )
        before = until
    if ends[-1] is not None:
        return len(ends) - 1, f"found {ends[-1]}, expected none: the last stage has no end"
    return None
