"""Encoder of table rows in which every number, category and set is a token that attends to all."""

import math
from typing import Any, Literal, final

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from motet.attention_heads import check_heads
from motet.encoders.base import Encoder
from motet.encoders.number_embeddings import Expansion, NumberEmbedding
from motet.encoders.rows import SetEmbedding, Sets, columns_of
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


@final
class TabularTransformer(Encoder):
    """Let the columns of a row attend to each other (Gorishniy et al., NeurIPS 2021, 2106.11959).

    FT-Transformer: each column becomes a token (D,), layers are normalised before attention and
    feed-forward (the first has no norm before attention), the feed-forward part is ReGLU, and the
    row is what one more token has become, after a norm and ReLU. Differs from the paper in that
    numbers come from their bins, as in arXiv:2203.05556, where the inputs have some.

    Cost: attention between all columns, B x columns² x D per layer; an MLP is far cheaper where a
    row has hundreds of numbers.

    Args:
        numbers: How many numbers a row has.
        categories: For each category, how many values it has; value 0 stands for "unknown".
        expansions: For each number, the bins to spread it over; None takes it as it is.
        sets: For each set of values by name, how many values there are, and "mean" or "sum".
        width: Width of the tokens, and of the features, D.
        layers: Number of layers.
        heads: Attention heads; they divide the width.
        feedforward: Width inside a layer, as a multiple of ``width``.
        attention_dropout: Dropout on the weights of attention.
        dropout: Dropout inside the feed-forward part.
        residual_dropout: Dropout on what attention and feed-forward add.
        pool: How a row gets one state: of one more, learned token, or the mean over columns.
        number_embedding: How a number becomes a token: linear, a learned linear layer of its own on
            its bins; linear_relu, with ReLU after it; periodic, from sines and cosines of learned
            frequencies.
        frequencies: Learned frequencies of periodic per number; 48 if left out.
        frequency_scale: Standard deviation of the first frequencies, in periods per standard
            deviation of a number; 0.1 if left out. It matters much: too large a scale fits noise.

    Raises:
        InputError: If ``heads`` does not divide the width.

    Example:
        >>> encoder = TabularTransformer(2, [4], width=16, heads=2, layers=1)
        >>> rows = {"numbers": torch.zeros(3, 2), "categories": torch.zeros(3, 1).long()}
        >>> encoder(rows).shape
        torch.Size([3, 16])
    """

    reads = "table"
    gives = "rows"
    more_stages = "each of `layers` is a stage"

    @checked
    def __init__(
        self,
        numbers: NonNegativeInt,
        categories: Sequence[PositiveInt] = (),
        expansions: Sequence[Expansion | None] = (),
        sets: Sets | None = None,
        *,
        width: PositiveInt = 128,
        layers: PositiveInt = 2,
        heads: PositiveInt = 8,
        feedforward: PositiveFloat = 1.33,
        attention_dropout: Fraction = 0.15,
        dropout: Fraction = 0.05,
        residual_dropout: Fraction = 0.0,
        pool: Literal["token", "mean"] = "token",
        number_embedding: Literal["linear", "linear_relu", "periodic"] = "linear",
        frequencies: Annotated[
            PositiveInt | None, OnlyWith("number_embedding", ("periodic",))
        ] = None,
        frequency_scale: Annotated[
            PositiveFloat | None, OnlyWith("number_embedding", ("periodic",))
        ] = None,
    ) -> None:
        super().__init__()
        check_heads(heads, width)
        embedding = NumberEmbedding(number_embedding, width, frequencies, frequency_scale)
        inner = max(1, int(feedforward * width))
        dropouts = attention_dropout, dropout, residual_dropout
        columns = columns_of(numbers, categories, expansions, sets)
        tokens = _Tokens(columns, categories, sets or {}, width, embedding, pool)
        self.stages = nn.ModuleList([tokens])
        for place in range(layers):
            self.stages.append(_Layer(width, heads, inner, dropouts, first=not place))
        self.stages.append(_Pool(width, pool))
        self.width = width

    def forward(self, inputs: Any) -> Tensor:
        """Encode ``{"numbers": (B, n), "categories": (B, c), "sets": {...}}``, or numbers alone."""
        state = inputs
        for stage in self.stages:
            state = stage(state)
        encoded: Tensor = state
        return encoded


class _Tokens(nn.Module):
    """The tokens of a row, (B, columns, D), before them the one whose state stands for the row."""

    undecayed = ("biases",)

    def __init__(
        self,
        expansions: Sequence[Expansion | None],
        categories: Sequence[int],
        sets: Sets,
        width: int,
        embedding: NumberEmbedding,
        pool: str,
    ) -> None:
        super().__init__()
        self.width = width
        self.numbers = embedding.build(expansions) if expansions else None
        self.embeddings = nn.ModuleList(nn.Embedding(size, width) for size in categories)
        self.sets = nn.ModuleList(
            SetEmbedding(name, size, width, mode) for name, (size, mode) in sets.items()
        )
        beside = len(self.embeddings) + len(self.sets)
        self.biases = nn.Parameter(torch.empty(beside, width)) if beside else None
        self.row = nn.Parameter(torch.empty(width)) if pool == "token" else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = 1 / math.sqrt(self.width)
        with torch.no_grad():
            for table in (*self.embeddings, *self.sets):
                assert isinstance(table.weight, Tensor)
                table.weight.uniform_(-bound, bound)
            for embedding in self.embeddings:
                embedding.weight[0] = 0  # type: ignore[operator]  # a tensor
            for each in self.sets:
                each.weight[:1] = each.weight[2:3] = 0  # type: ignore[operator]  # a tensor
            for parameter in (self.biases, self.row):
                if parameter is not None:
                    parameter.uniform_(-bound, bound)

    def forward(self, given: dict[str, Any] | Tensor) -> Tensor:
        inputs = {"numbers": given} if isinstance(given, Tensor) else given
        parts = [] if self.numbers is None else [self.numbers(inputs["numbers"])]
        if self.biases is not None:
            columns = inputs["categories"].unbind(dim=1) if self.embeddings else ()
            beside = [e(column) for e, column in zip(self.embeddings, columns, strict=True)]
            beside += [embed(inputs["sets"]) for embed in self.sets]
            parts.append(torch.stack(beside, dim=1) + self.biases)
        if self.row is not None:
            parts.insert(0, self.row.expand(parts[0].shape[0], 1, -1))
        return torch.cat(parts, dim=1)


class _Layer(nn.Module):
    """Attention between tokens (B, L, D), and ReGLU, each after a norm and added to its input."""

    def __init__(
        self,
        width: int,
        heads: int,
        inner: int,
        dropouts: tuple[float, float, float],
        *,
        first: bool,
    ) -> None:
        super().__init__()
        self.width = width
        attention, feedforward, residual = dropouts
        self.attention_norm = nn.Identity() if first else nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, attention, batch_first=True)
        self.feedforward_norm = nn.LayerNorm(width)
        self.to_gates, self.from_gates = nn.Linear(width, 2 * inner), nn.Linear(inner, width)
        self.dropout, self.residual_dropout = nn.Dropout(feedforward), nn.Dropout(residual)

    def forward(self, state: Tensor) -> Tensor:
        given = self.attention_norm(state)
        mixed = self.attention(given, given, given, need_weights=False)[0]
        state = state + self.residual_dropout(mixed)
        values, gates = self.to_gates(self.feedforward_norm(state)).chunk(2, dim=-1)
        found: Tensor = state + self.residual_dropout(
            self.from_gates(self.dropout(values * relu(gates)))
        )
        return found


class _Pool(nn.Module):
    """The state of a row, (B, L, D) to (B, D)."""

    def __init__(self, width: int, pool: str) -> None:
        super().__init__()
        self.norm, self.pool, self.width = nn.LayerNorm(width), pool, width

    def forward(self, state: Tensor) -> Tensor:
        pooled = state[:, 0] if self.pool == "token" else state.mean(dim=1)
        found: Tensor = relu(self.norm(pooled))
        return found
