"""Encoder of table rows: category embeddings and numbers through fully connected layers."""

from itertools import pairwise
from typing import Any, Literal, final

from torch import Tensor, nn

from motet.encoders.base import Encoder
from motet.encoders.number_embeddings import Expansion, NumberEmbedding
from motet.encoders.rows import Row, Sets, columns_of
from motet.options import (
    Annotated,
    Fraction,
    NonNegativeInt,
    OnlyWith,
    PositiveFloat,
    PositiveInt,
    Sequence,
    checked,
)

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


@final
class MLP(Encoder):
    """Encode numbers (B, numbers) and categories (B, len(categories)) into (B, width).

    Sets of values are (B, L) each, padded with 0.

    Args:
        numbers: How many numbers a row has.
        categories: For each category, how many values it has; value 0 stands for "unknown" and
            starts as a zero vector, so that it has no effect until it is trained.
        expansions: For each number, the bins to spread it over; None takes it as it is.
        sets: For each set of values by name, how many values there are, and "mean" or "sum".
        hidden: Widths of the layers; the last is the width of the representation.
        activation: Activation after each layer.
        dropout: Dropout after each activation.
        number_embedding: What becomes of a number: none, its bins side by side; linear_relu, a
            learned linear layer of its own and ReLU on its bins; periodic, the same on sines and
            cosines of learned frequencies instead (Gorishniy et al., NeurIPS 2022,
            arXiv:2203.05556).
        number_width: Width of an embedded number; 16 if left out.
        frequencies: Learned frequencies of periodic per number; 48 if left out.
        frequency_scale: Standard deviation of the first frequencies, in periods per standard
            deviation of a number; 0.1 if left out. It matters much: too large a scale fits noise.
    """

    reads = ("table", "vector")
    gives = "rows"
    more_stages = "each width in `hidden` is a stage"

    @checked
    def __init__(
        self,
        numbers: NonNegativeInt,
        categories: Sequence[PositiveInt] = (),
        expansions: Sequence[Expansion | None] = (),
        sets: Sets | None = None,
        *,
        hidden: Sequence[PositiveInt] = (256, 128),
        activation: Literal["relu", "gelu", "silu", "tanh"] = "relu",
        dropout: Fraction = 0.1,
        number_embedding: Literal["none", "linear_relu", "periodic"] = "none",
        number_width: Annotated[
            PositiveInt | None, OnlyWith("number_embedding", ("linear_relu", "periodic"))
        ] = None,
        frequencies: Annotated[
            PositiveInt | None, OnlyWith("number_embedding", ("periodic",))
        ] = None,
        frequency_scale: Annotated[
            PositiveFloat | None, OnlyWith("number_embedding", ("periodic",))
        ] = None,
    ) -> None:
        super().__init__()
        embedding = NumberEmbedding.of(number_embedding, number_width, frequencies, frequency_scale)
        columns = columns_of(numbers, categories, expansions, sets)
        first = Row(columns, categories, sets, embedding)
        widths = [first.width, *hidden]
        self.stages = nn.ModuleList([first])
        for before, after in pairwise(widths):
            layers = nn.Linear(before, after), ACTIVATIONS[activation](), nn.Dropout(dropout)
            self.stages.append(nn.Sequential(*layers))
        self.width = widths[-1]

    def forward(self, inputs: Any) -> Tensor:
        """Encode ``{"numbers": (B, n), "categories": (B, c), "sets": {...}}``, or numbers alone."""
        state = inputs
        for stage in self.stages:
            state = stage(state)
        encoded: Tensor = state
        return encoded
