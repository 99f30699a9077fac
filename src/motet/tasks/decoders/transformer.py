"""A decoder of attention alone."""

import math
from typing import final

import torch
from torch import Tensor, nn

from motet.positions import sinusoidal_positions
from motet.states import TokenStates
from motet.tasks.decoders.base import Attention, Decoder, Past, TokenVectors, readable


@final
class TransformerDecoder(Decoder):
    """Layers of attention to the text so far and to the encoder (Vaswani et al., NeurIPS 2017).

    Differs from arXiv:1706.03762 in that layers are normalised before what they add, as
    `motet.encoders.Transformer` does, so that training needs no warm-up (arXiv:2002.04745).

    Args:
        vocabulary: Number of tokens.
        memory: Width of the encoder's states.
        width: Width of the states, D.
        layers: Number of layers.
        heads: Heads of every attention.
        dropout: Dropout on the tokens' vectors and within the layers.
    """

    def __init__(
        self, vocabulary: int, memory: int, *, width: int, layers: int, heads: int, dropout: float
    ) -> None:
        super().__init__()
        self.width = width
        self.vectors, self.dropout = TokenVectors(vocabulary, width), nn.Dropout(dropout)
        self.layers = nn.ModuleList(_Layer(width, memory, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def start(self, memory: TokenStates) -> Past:
        attentions: list[Attention] = [layer.other for layer in self.layers]  # type: ignore[misc]
        found = [tensor for each in attentions for tensor in each.keys_and_values(memory.states)]
        nothing = found[0][:, :, :0]
        return Past((readable(memory), *found), (nothing,) * 2 * len(self.layers))

    def forward(self, tokens: Tensor, past: Past) -> tuple[Tensor, Past]:
        before, length = past.tokens[0].shape[2], tokens.shape[1]
        places = sinusoidal_positions(length, self.width, before)
        states = self.vectors(tokens) * math.sqrt(self.width)
        states = self.dropout(states + places.to(states))
        earlier = torch.ones(length, before + length, dtype=torch.bool, device=tokens.device)
        earlier = earlier.tril(before)
        there, *memory = past.memory
        kept: list[Tensor] = []
        for place, layer in enumerate(self.layers):
            own, other = (each[2 * place : 2 * place + 2] for each in (past.tokens, memory))
            states, keys, values = layer(states, own, other, earlier, there)
            kept += [keys, values]
        return self.norm(states), Past(past.memory, tuple(kept))


class _Layer(nn.Module):
    def __init__(self, width: int, memory: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.own = Attention(width, width, heads, dropout)
        self.other = Attention(width, memory, heads, dropout)
        self.feedforward = nn.Sequential(
            nn.Linear(width, 4 * width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(4 * width, width)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        states: Tensor,
        own: tuple[Tensor, ...],
        other: tuple[Tensor, ...],
        earlier: Tensor,
        there: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return states (B, L, D), and the keys and values of all tokens so far."""
        normed = self.norms[0](states)
        more = self.own.keys_and_values(normed)
        keys, values = (
            torch.cat([old.to(new), new], dim=2) for old, new in zip(own, more, strict=True)
        )
        states = states + self.dropout(self.own(normed, keys, values, earlier))
        states = states + self.dropout(self.other(self.norms[1](states), *other, there))
        return states + self.dropout(self.feedforward(self.norms[2](states))), keys, values
