"""The first layer of table encoders: numbers, categories and sets of a row, side by side."""

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from motet.encoders.number_embeddings import Expansion, NumberEmbedding, Numbers
from motet.options import Mapping, PositiveInt, Sequence
from motet.problems import InputError
from motet.tracing import bag, exporting

Sets = Mapping[str, tuple[PositiveInt, Literal["mean", "sum"]]]
"""For each set by name, how many values there are, and whether their vectors become a "mean" or a
"sum"."""


def embedding_width(size: int) -> int:
    """Return the width for a category with ``size`` values: min(50, ceil(1.6 size^0.56)).

    >>> [embedding_width(size) for size in (2, 10, 1000)]
    [3, 6, 50]
    """
    return min(50, math.ceil(1.6 * math.pow(size, 0.56)))


def columns_of(
    numbers: int,
    categories: Sequence[int],
    expansions: Sequence[Expansion | None],
    sets: Sets | None = None,
) -> Sequence[Expansion | None]:
    """Return the bins of each number of a row; None takes it as it is.

    Raises:
        InputError: If a row has nothing to encode, or some numbers alone have an entry for bins.
    """
    if expansions and len(expansions) != numbers:
        raise InputError(
            f"found {len(expansions)}, expected one for each of the {numbers} numbers",
            option="expansions",
        )
    if not (numbers or categories or sets):
        raise InputError(
            "found 0, no categories and no sets; expected at least one column", option="numbers"
        )
    return expansions or [None] * numbers


class Row(nn.Module):
    """Numbers, spread over bins or embedded, and embedded categories and sets, concatenated.

    Args:
        expansions: For each number, its bins; None takes it as it is.
        categories: For each category, how many values it has.
        sets: Sets of values.
        embedding: How numbers are embedded; their bins are used as they are if left out.
    """

    def __init__(
        self,
        expansions: Sequence[Expansion | None],
        categories: Sequence[int],
        sets: Sets | None = None,
        embedding: NumberEmbedding | None = None,
    ) -> None:
        super().__init__()
        self.numbers: nn.Module | None = None
        self.width = sum(embedding_width(size) for size in categories)
        if expansions and embedding is None:
            self.numbers = plain = Numbers(expansions)
            self.width += plain.width
        self.embeddings = nn.ModuleList(
            nn.Embedding(size, embedding_width(size)) for size in categories
        )
        self.reset_parameters()
        if expansions and embedding is not None:
            made = embedding.build(expansions)
            self.numbers = nn.Sequential(made, nn.Flatten())
            self.width += made.count * made.width
        self.sets = nn.ModuleList(
            SetEmbedding(name, size, embedding_width(size), mode)
            for name, (size, mode) in (sets or {}).items()
        )
        self.width += sum(embedding_width(size) for size, _ in (sets or {}).values())

    @property
    def columns(self) -> list[int]:
        """Return the column that each number of the output stands for, counted from 0 (width,)."""
        found: list[int] = []
        if isinstance(self.numbers, Numbers):
            found += self.numbers.columns
        elif self.numbers is not None:
            made: Any = next(self.numbers.children())
            found += [column for column in range(made.count) for _ in range(made.width)]
        tables: list[Any] = [*self.embeddings, *self.sets]
        for column, table in enumerate(tables, max(found, default=-1) + 1):
            found += [column] * table.embedding_dim
        return found

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
        parts += [embed(inputs["sets"]) for embed in self.sets]
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]


class SetEmbedding(nn.EmbeddingBag):
    """Mean or sum of the vectors of the values of a set, (B, L) to (B, width); 0 is padding.

    An empty set gives zeros, and so do unknown values (2) until they were trained. A gradient
    balancer computes with the rows of the values in a batch alone.
    """

    def __init__(self, name: str, size: int, width: int, mode: str) -> None:
        super().__init__(size, width, mode=mode, padding_idx=0)
        self.name = name

    def reset_parameters(self) -> None:
        super().reset_parameters()
        with torch.no_grad():
            self.weight[2:3] = 0

    def forward(self, sets: Mapping[str, Tensor]) -> Tensor:  # type: ignore[override]  # by name
        values = sets[self.name]
        if exporting():
            return bag(values, self.weight, mean=self.mode == "mean")
        if not values.shape[1]:  # torch refuses bags of no width
            values = values.new_zeros(len(values), 1)
        return super().forward(values)
