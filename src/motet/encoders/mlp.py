"""Encoder of table rows: category embeddings and numbers through fully connected layers."""

import math
from typing import Any, final

import torch
from torch import Tensor, nn

from motet.options import Fraction, Literal, PositiveInt, Sequence, checked

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


def embedding_width(size: int) -> int:
    """Return the width for a category with ``size`` values: min(50, ceil(1.6 size^0.56)).

    >>> [embedding_width(size) for size in (2, 10, 1000)]
    [3, 6, 50]
    """
    return min(50, math.ceil(1.6 * size**0.56))


@final
class MLP(nn.Module):
    """Encode numbers (B, numbers) and categories (B, len(categories)) into (B, width).

    Args:
        numbers: How many numbers a row has.
        categories: For each category, how many values it has; value 0 stands for "unknown" and
            starts as a zero vector, so that it says nothing unless training taught it to.
        hidden: Widths of the layers; the last is the width of the representation.
        activation: Activation after each layer.
        dropout: Dropout after each activation.
    """

    @checked
    def __init__(
        self,
        numbers: int,
        categories: Sequence[int] = (),
        *,
        hidden: Sequence[PositiveInt] = (256, 128),
        activation: Literal["relu", "gelu", "silu", "tanh"] = "relu",
        dropout: Fraction = 0.1,
    ) -> None:
        super().__init__()
        first = _Row(numbers, categories)
        widths = [first.width, *hidden]
        self.stages = nn.ModuleList([first])
        for before, after in zip(widths, widths[1:], strict=False):
            layers = nn.Linear(before, after), _ACTIVATIONS[activation](), nn.Dropout(dropout)
            self.stages.append(nn.Sequential(*layers))
        self.width = widths[-1]

    def forward(self, inputs: Any) -> Tensor:
        state = inputs
        for stage in self.stages:
            state = stage(state)
        encoded: Tensor = state
        return encoded


class _Row(nn.Module):
    """Numbers and embedded categories of a row, side by side."""

    def __init__(self, numbers: int, categories: Sequence[int]) -> None:
        super().__init__()
        self.has_numbers = numbers > 0
        self.embeddings = nn.ModuleList(
            nn.Embedding(size, embedding_width(size)) for size in categories
        )
        for embedding in self.embeddings:
            assert isinstance(embedding, nn.Embedding)
            with torch.no_grad():
                embedding.weight[0] = 0
        self.width = numbers + sum(embedding_width(size) for size in categories)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        parts = [inputs["numbers"]] if self.has_numbers else []
        if self.embeddings:
            columns = inputs["categories"].unbind(dim=1)
            parts += [embed(column) for embed, column in zip(self.embeddings, columns, strict=True)]
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]
