"""Encoder of table rows: K members that share the layers of one MLP (TabM).

Members differ by what they multiply: the inputs of the first layer, in `scalings: all` the inputs
and outputs of every layer, and by their biases. All members are computed together: those of a row
are rows next to each other, (B K, D), so that whatever treats rows alike treats members alike. A
step costs K times the products of an MLP, but no more calls, and little more memory for weights.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Literal, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from motet.encoders.base import Encoder
from motet.encoders.mlp import ACTIVATIONS
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


@final
class Ensemble(Encoder):
    """Encode rows by K members with common weights (TabM: Gorishniy et al., ICLR 2025).

    arXiv:2410.24210. In a layer, member k computes s_k ⊙ W (r_k ⊙ x) + b_k with a common W. The
    first r is drawn, -1 or 1 for each column; all others begin at 1, and the biases of all members
    at the same numbers. Each task has K heads with weights of their own, its loss is the mean over
    members, and its prediction the mean of theirs: of probabilities, where it has classes.

    We differ from the authors' `tabm` in that numbers are spread over bins, as for `mlp`, and that
    the scalings do not decay, as 0 is no neutral value for them. One member is exactly an `mlp`.

    Args:
        numbers: How many numbers a row has.
        categories: For each category, how many values it has; see `MLP`.
        expansions: For each number, the bins to spread it over; None takes it as it is.
        sets: For each set of values by name, how many values there are, and "mean" or "sum".
        members: How many members there are, K.
        scalings: Whether members scale the inputs and outputs of all layers, and have biases of
            their own (TabM), or scale the inputs of the first layer alone (TabM-mini).
        hidden: Widths of the layers; the last is the width of the representation.
        activation: Activation after each layer.
        dropout: Dropout after each activation, drawn for every member.
        number_embedding: What becomes of a number: none, linear_relu or periodic; see `MLP`.
        number_width: Width of an embedded number; 16 if left out.
        frequencies: Learned frequencies of periodic per number; 48 if left out.
        frequency_scale: Standard deviation of the first frequencies; 0.1 if left out.

    Example:
        >>> encoder = Ensemble(3, members=4, hidden=(8, 5))
        >>> encoder(torch.zeros(2, 3)).shape  # rows of 4 members each
        torch.Size([8, 5])
    """

    reads = "table"
    more_stages = "each width in `hidden` is a stage"

    @checked
    def __init__(
        self,
        numbers: NonNegativeInt,
        categories: Sequence[PositiveInt] = (),
        expansions: Sequence[Expansion | None] = (),
        sets: Sets | None = None,
        *,
        members: PositiveInt = 16,
        scalings: Literal["all", "first"] = "all",
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
        self.members = members if members > 1 else None
        self.gives = "members" if members > 1 else "rows"
        embedding = NumberEmbedding.of(number_embedding, number_width, frequencies, frequency_scale)
        columns = columns_of(numbers, categories, expansions, sets)
        row = Row(columns, categories, sets, embedding)
        widths = [row.width, *hidden]
        self.stages = nn.ModuleList([row if members == 1 else MemberRows(row, members)])
        for place, (before, after) in enumerate(pairwise(widths)):
            layer: nn.Module = nn.Linear(before, after)
            if members > 1 and scalings == "all":
                layer = MemberLinear(before, after, members, scaled_inputs=place > 0)
            layers = layer, ACTIVATIONS[activation](), nn.Dropout(dropout)
            self.stages.append(nn.Sequential(*layers))
        self.width = widths[-1]

    def forward(self, inputs: Any) -> Tensor:
        """Encode ``{"numbers": (B, n), "categories": (B, c), "sets": {...}}`` to (B K, D)."""
        state = inputs
        for stage in self.stages:
            state = stage(state)
        encoded: Tensor = state
        return encoded


class MemberRows(nn.Module):
    """A row for each member, (B K, D), scaled column by column.

    All numbers that stand for one column, its bins or its embedding, begin with the same sign.

    Args:
        row: Makes rows (B, D).
        members: How many members there are, K.
    """

    undecayed = ("scaling",)

    def __init__(self, row: Row, members: int) -> None:
        super().__init__()
        self.row, self.width = row, row.width
        self.scaling = nn.Parameter(torch.empty(members, row.width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        columns = self.row.columns
        with torch.no_grad():
            signs = torch.randint(0, 2, (len(self.scaling), len(set(columns)))) * 2.0 - 1
            self.scaling.copy_(signs[:, columns])

    def forward(self, inputs: Any) -> Tensor:
        rows: Tensor = self.row(inputs)
        return (rows.unsqueeze(1) * self.scaling).flatten(0, 1)


class MemberLinear(nn.Module):
    """A linear layer with common weights, whose inputs and outputs each member scales.

    Args:
        before: Features that come in.
        after: Features that go out.
        members: How many members there are, K.
        scaled_inputs: Whether inputs are scaled, too.
    """

    undecayed = ("inputs", "outputs", "bias")

    def __init__(self, before: int, after: int, members: int, *, scaled_inputs: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(after, before))
        self.inputs = nn.Parameter(torch.empty(members, before)) if scaled_inputs else None
        self.outputs = nn.Parameter(torch.empty(members, after))
        self.bias = nn.Parameter(torch.empty(members, after))
        self.reset_parameters()

    @property
    def in_features(self) -> int:
        return self.weight.shape[1]

    @property
    def out_features(self) -> int:
        return self.weight.shape[0]

    def reset_parameters(self) -> None:
        like = nn.Linear(self.in_features, self.out_features)
        with torch.no_grad():
            self.weight.copy_(like.weight)
            self.bias.copy_(like.bias)  # the same for all members
            for scaling in self._scalings():
                scaling.fill_(1)

    def _scalings(self) -> Iterator[Tensor]:
        yield from (each for each in (self.inputs, self.outputs) if each is not None)

    def forward(self, state: Tensor) -> Tensor:
        """Map (B K, before) to (B K, after)."""
        members = len(self.bias)
        if self.inputs is not None:
            state = (state.view(-1, members, self.in_features) * self.inputs).flatten(0, 1)
        found = functional.linear(state, self.weight).view(-1, members, self.out_features)
        return torch.addcmul(self.bias, found, self.outputs).flatten(0, 1)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, members={len(self.bias)}"
