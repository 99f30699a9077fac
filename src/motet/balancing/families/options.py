"""Options that members of a family have in common, each defined once."""

from typing import Annotated, Literal

from typing_extensions import TypedDict

from motet.options import Default, Fraction, PositiveInt


class GradientOptions(TypedDict, total=False):
    """Options of every balancer that reads gradients."""

    scale: Annotated[Literal["sum", "mean", "paper"], Default("sum")]
    """"sum": T equal gradients g give T g, as the plain sum does; "mean": they give g; "paper": the
    formula of the source."""


class GramianOptions(GradientOptions, total=False):
    """Options of every Gramian balancer."""

    every: Annotated[PositiveInt, Default(1)]
    """Steps for which weights are used before they are computed again."""
    momentum: Annotated[Fraction, Default(0.0)]
    """Share of the previous weights in new ones; 0 uses the new ones alone."""
