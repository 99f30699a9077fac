"""The first layer of table encoders: numbers, spread over bins, and categories to one row each."""

import math

import torch
from torch import Tensor, nn

from motet.options import Sequence


def embedding_width(size: int) -> int:
    """Return the width for a category with ``size`` values: min(50, ceil(1.6 size^0.56)).

    >>> [embedding_width(size) for size in (2, 10, 1000)]
    [3, 6, 50]
    """
    return min(50, math.ceil(1.6 * math.pow(size, 0.56)))


Expansion = tuple[Sequence[float], float, Sequence[float], Sequence[float]]
"""Starts (T,), slope, means (T,) and standard deviations (T,) of the bins of a number."""


class Row(nn.Module):
    """Numbers, spread over bins, and embedded categories of a row, concatenated."""

    def __init__(self, expansions: Sequence[Expansion | None], categories: Sequence[int]) -> None:
        super().__init__()
        self.numbers = Numbers(expansions) if expansions else None
        self.embeddings = nn.ModuleList(
            nn.Embedding(size, embedding_width(size)) for size in categories
        )
        self.reset_parameters()
        self.width = sum(embedding_width(size) for size in categories)
        self.width += self.numbers.width if self.numbers else 0

    def reset_parameters(self) -> None:
        for embedding in self.embeddings:
            assert isinstance(embedding, nn.Embedding)
            embedding.reset_parameters()
            with torch.no_grad():
                embedding.weight[0] = 0

    def forward(self, given: dict[str, Tensor] | Tensor) -> Tensor:
        inputs = {"numbers": given} if isinstance(given, Tensor) else given
        parts = [] if self.numbers is None else [self.numbers(inputs["numbers"])]
        if self.embeddings:
            columns = inputs["categories"].unbind(dim=1)
            parts += [embed(column) for embed, column in zip(self.embeddings, columns, strict=True)]
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]


class Numbers(nn.Module):
    """Numbers (B, n) as they are or spread over their bins (B, width); see `Expansion`.

    The bins come with the preprocessing, so they are not among the saved weights.
    """

    plain: Tensor
    column: Tensor
    slope: Tensor
    offset: Tensor
    scale: Tensor
    shift: Tensor

    def __init__(self, expansions: Sequence[Expansion | None]) -> None:
        super().__init__()
        plain = [place for place, each in enumerate(expansions) if each is None]
        # one row (column, start, slope, mean, std) per bin
        bins = [
            (place, start, each[1], mean, std)
            for place, each in enumerate(expansions)
            if each is not None
            for start, mean, std in zip(each[0], each[2], each[3], strict=True)
        ]
        _, start, slope, mean, std = (
            torch.tensor(bins, dtype=torch.float64).reshape(-1, 5).unbind(1)
        )
        self._hold("plain", torch.tensor(plain, dtype=torch.long))
        self._hold("column", torch.tensor([each[0] for each in bins], dtype=torch.long))
        self._hold("slope", slope)
        self._hold("offset", -start * slope)
        self._hold("scale", 1 / std)
        self._hold("shift", -mean / std)
        self.width = len(plain) + len(bins)

    def _hold(self, name: str, values: Tensor) -> None:
        held = values.float() if values.is_floating_point() else values
        self.register_buffer(name, held, persistent=False)

    def forward(self, numbers: Tensor) -> Tensor:
        if not len(self.column):
            return numbers
        spread = numbers.index_select(1, self.column)
        spread = torch.addcmul(self.offset, spread, self.slope).clamp(0, 1)
        spread = torch.addcmul(self.shift, spread, self.scale)
        if not len(self.plain):
            return spread
        return torch.cat([numbers.index_select(1, self.plain), spread], dim=1)
