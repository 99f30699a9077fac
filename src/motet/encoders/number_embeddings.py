"""Embeddings of numbers: a vector (D,) for each number of a row, learned with the network.

Gorishniy et al. (NeurIPS 2022, arXiv:2203.05556): a number with one weight per layer is hard to
bend, and what it is spread over first, bins or waves, makes it easy. Each number has weights of its
own; the cost is that of n small layers, the memory that of (B, n, D) numbers.
"""

import math
from typing import Any, NamedTuple, final

import torch
from torch import Tensor, nn

from motet.options import Sequence

Expansion = tuple[Sequence[float], float, Sequence[float], Sequence[float]]
"""Starts (T,), slope, means (T,) and standard deviations (T,) of the bins of a number."""

WIDTH, FREQUENCIES, SCALE = 16, 48, 0.1
"""What options of encoders stand for if they are left out."""


class NumberEmbedding(NamedTuple):
    """How numbers are embedded."""

    kind: str
    """linear: from the bins of each number, or the number itself where it has none; linear_relu,
    with ReLU after that; periodic, from sines and cosines of each number, with ReLU."""
    width: int | None = None
    frequencies: int | None = None
    scale: float | None = None

    @staticmethod
    def of(kind: str, *options: Any) -> "NumberEmbedding | None":
        """Return how numbers are embedded by the options of an encoder; None for ``none``."""
        return None if kind == "none" else NumberEmbedding(kind, *options)

    def build(self, expansions: Sequence[Expansion | None]) -> "BinEmbedding | PeriodicEmbedding":
        """Build the module that embeds numbers with these bins."""
        width = self.width or WIDTH
        if self.kind == "periodic":
            frequencies, scale = self.frequencies or FREQUENCIES, self.scale or SCALE
            return PeriodicEmbedding(len(expansions), width, frequencies, scale)
        return BinEmbedding(expansions, width, relu=self.kind == "linear_relu")


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
        self.columns = plain + [each[0] for each in bins]
        """The column that each number of the output stands for (width,)."""

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


class _OwnLinear(nn.Module):
    """A linear layer of its own for each of n numbers, (B, n, T) to (B, n, D).

    Args:
        sizes: How many of the T values each number has; the others are 0 and have no weight.
        width: D.
    """

    undecayed = ("weight", "bias")  # as embeddings of categories

    def __init__(self, sizes: Sequence[int], width: int) -> None:
        super().__init__()
        self._sizes = tuple(sizes)
        self.weight = nn.Parameter(torch.empty(len(sizes), max(sizes), width))
        self.bias = nn.Parameter(torch.empty(len(sizes), width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        with torch.no_grad():
            self.weight.zero_()
            for place, size in enumerate(self._sizes):
                bound = 1 / math.sqrt(size)
                self.weight[place, :size].uniform_(-bound, bound)
                self.bias[place].uniform_(-bound, bound)

    def forward(self, values: Tensor) -> Tensor:
        # a product per number, (n, B, T) @ (n, T, D)
        return (values.transpose(0, 1) @ self.weight).transpose(0, 1) + self.bias


@final
class BinEmbedding(nn.Module):
    """A linear layer on the bins of each number, perhaps with ReLU: (B, n) to (B, n, D).

    Differs from the paper in that bins are standardised (`Numbers`), and that a number without bins
    is one value, which is the paper's linear embedding.
    """

    places: Tensor

    def __init__(self, expansions: Sequence[Expansion | None], width: int, *, relu: bool) -> None:
        super().__init__()
        self.bins = Numbers(expansions)
        sizes = [1 if each is None else len(each[0]) for each in expansions]
        self.linear = _OwnLinear(sizes, width)
        self.relu, self.width, self.count = relu, width, len(expansions)
        # where `bins` puts the values of each number, (n, T); behind the last where it has fewer
        places = torch.full((len(sizes), max(sizes)), self.bins.width)
        plain, spread = 0, len(self.bins.plain)
        for number, (size, bins) in enumerate(zip(sizes, expansions, strict=True)):
            first = plain if bins is None else spread
            places[number, :size] = torch.arange(first, first + size)
            plain, spread = plain + (bins is None), spread + (0 if bins is None else size)
        self.register_buffer("places", places, persistent=False)
        self._padded = bool((places == self.bins.width).any())

    def forward(self, numbers: Tensor) -> Tensor:
        values = self.bins(numbers)
        if self._padded:
            values = torch.cat([values, values.new_zeros(values.shape[0], 1)], dim=1)
        values = values.index_select(1, self.places.flatten())
        embedded: Tensor = self.linear(values.unflatten(1, self.places.shape))
        return embedded.relu() if self.relu else embedded


@final
class PeriodicEmbedding(nn.Module):
    """A linear layer and ReLU on sines and cosines of each number: (B, n) to (B, n, D).

    The paper's PLR: ``relu(linear([cos(2 pi c x), sin(2 pi c x)]))`` with k learned frequencies c
    per number, drawn from a normal distribution first. As in the authors' package, no first
    frequency is farther from 0 than three times the scale.
    """

    undecayed = ("frequencies",)

    def __init__(self, count: int, width: int, frequencies: int, scale: float) -> None:
        super().__init__()
        self._scale = scale
        self.frequencies = nn.Parameter(torch.empty(count, frequencies))
        self.linear = _OwnLinear([2 * frequencies] * count, width)
        self.width, self.count = width, count
        self.reset_parameters()

    def reset_parameters(self) -> None:
        far = 3 * self._scale
        nn.init.trunc_normal_(self.frequencies, std=self._scale, a=-far, b=far)

    def forward(self, numbers: Tensor) -> Tensor:
        angles = 2 * math.pi * self.frequencies * numbers[..., None]
        embedded: Tensor = self.linear(torch.cat([angles.cos(), angles.sin()], dim=-1))
        return embedded.relu()
