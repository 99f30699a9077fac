"""Encoder of table rows: category embeddings and numbers through fully connected layers."""

from itertools import pairwise
from typing import Any, Literal, final

from torch import Tensor, nn

from motet.encoders.base import Encoder
from motet.encoders.rows import Expansion, Row
from motet.options import Fraction, PositiveInt, Sequence, checked

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


@final
class MLP(Encoder):
    """Encode numbers (B, numbers) and categories (B, len(categories)) into (B, width).

    Args:
        numbers: How many numbers a row has.
        categories: For each category, how many values it has; value 0 stands for "unknown" and
            starts as a zero vector, so that it has no effect until it is trained.
        expansions: For each number, the bins to spread it over; None takes it as it is.
        hidden: Widths of the layers; the last is the width of the representation.
        activation: Activation after each layer.
        dropout: Dropout after each activation.
    """

    reads = "table"
    gives = "rows"
    more_stages = "each width in `hidden` is a stage"

    @checked
    def __init__(
        self,
        numbers: int,
        categories: Sequence[int] = (),
        expansions: Sequence[Expansion | None] = (),
        *,
        hidden: Sequence[PositiveInt] = (256, 128),
        activation: Literal["relu", "gelu", "silu", "tanh"] = "relu",
        dropout: Fraction = 0.1,
    ) -> None:
        super().__init__()
        first = Row(expansions or [None] * numbers, categories)
        widths = [first.width, *hidden]
        self.stages = nn.ModuleList([first])
        for before, after in pairwise(widths):
            layers = nn.Linear(before, after), _ACTIVATIONS[activation](), nn.Dropout(dropout)
            self.stages.append(nn.Sequential(*layers))
        self.width = widths[-1]

    def forward(self, inputs: Any) -> Tensor:
        """Encode ``{"numbers": (B, n), "categories": (B, c)}``, or numbers alone."""
        state = inputs
        for stage in self.stages:
            state = stage(state)
        encoded: Tensor = state
        return encoded
