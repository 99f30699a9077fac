"""An encoder that leaves rows as they are."""

from typing import Any, final

from torch import Tensor

from motet.encoders.base import Encoder
from motet.encoders.number_embeddings import Expansion
from motet.encoders.rows import Row, columns_of
from motet.options import NonNegativeInt, PositiveInt, Sequence, checked


@final
class Identity(Encoder):
    """Take numbers as they are, and categories by their vectors, without any layer.

    For vectors that another model made: a fusion projects them to its own width. It has no
    parameter, unless there are categories.

    Args:
        numbers: How many numbers a row has.
        categories: For each category, how many values it has.
        expansions: For each number, the bins to spread it over; None takes it as it is.

    Example:
        >>> import torch
        >>> encoder = Identity(3)
        >>> encoder(torch.ones(2, 3)).shape, encoder.width
        (torch.Size([2, 3]), 3)
    """

    reads = ("table", "vector")
    gives = "rows"
    more_stages = ""

    @checked
    def __init__(
        self,
        numbers: NonNegativeInt,
        categories: Sequence[PositiveInt] = (),
        expansions: Sequence[Expansion | None] = (),
    ) -> None:
        super().__init__()
        self.row = Row(columns_of(numbers, categories, expansions), categories)
        self.width = self.row.width

    def forward(self, inputs: Any) -> Tensor:
        """Return ``{"numbers": (B, n), "categories": (B, c)}``, or numbers alone, side by side."""
        encoded: Tensor = self.row(inputs)
        return encoded
