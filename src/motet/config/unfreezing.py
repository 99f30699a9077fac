"""How parts that a run began with frozen are trained again: at named epochs, or layer by layer."""

from typing import Annotated, NotRequired

from pydantic import ConfigDict, Discriminator, Field, Tag
from typing_extensions import TypedDict

from motet.options import Mapping, PositiveInt, TwoOrMore


class PartsAt(TypedDict):
    """Parts that are trained from an epoch on."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]  # pydantic's own hook

    epoch: Annotated[TwoOrMore, Field(description="First epoch that trains them, from 2.")]
    parts: Annotated[tuple[str, ...], Field(min_length=1, description="Names or patterns.")]


class LayerByLayer(TypedDict):
    """Layers that are trained one after the other, the last ones first."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]  # pydantic's own hook

    every: Annotated[PositiveInt, Field(description="Epochs from one unfreezing to the next.")]
    layers: NotRequired[
        Annotated[PositiveInt, Field(description="Layers each time; 1 if left out.")]
    ]


Unfreeze = Annotated[
    Annotated[LayerByLayer, Tag("every")] | Annotated[tuple[PartsAt, ...], Tag("epochs")],
    Discriminator(lambda value: "every" if isinstance(value, Mapping) else "epochs"),
]
"""``{every: 2, layers: 1}``, or a list of ``{epoch: 3, parts: [encoder]}``."""
