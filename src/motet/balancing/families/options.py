"""Options that members of a family have in common, each defined once."""

from typing import Annotated, Any, Literal

from typing_extensions import TypedDict

from motet.balancing.families.balancer import Balancer
from motet.options import Chosen, Default, Fraction, Mapping, PositiveInt, StrictBool


class GradientOptions(TypedDict, total=False):
    """Options of every balancer that reads gradients."""

    scale: Annotated[Literal["sum", "mean", "paper"], Default("sum")]
    """"sum": T equal gradients g give T g, as the plain sum does; "mean": they give g; "paper": the
    formula of the source."""
    losses: Annotated[
        Annotated[str | Mapping[str, Any], Chosen("balancer", lacking="losses")] | Balancer | None,
        Default(None),
    ]
    """Loss balancer that weights the losses first, such as ``{type: dwa}``; none if left out."""
    unit: Annotated[StrictBool, Default(False)]
    """Whether gradients are scaled to length 1 first, so that the scale of a loss has no effect."""


class GramianOptions(GradientOptions, total=False):
    """Options of every Gramian balancer."""

    every: Annotated[PositiveInt, Default(1)]
    """Steps for which weights are used before they are computed again."""
    momentum: Annotated[Fraction, Default(0.0)]
    """Share of the previous weights in new ones; 0 uses the new ones alone."""
