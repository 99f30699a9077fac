"""A recurrent decoder with attention."""

from typing import final

import torch
from torch import Tensor, nn

from motet.kernels import run_gru, weights_by_layer, wide_recurrent
from motet.states import TokenStates
from motet.tasks.decoders.base import Attention, Decoder, Past, TokenVectors, readable


@final
class GRUDecoder(Decoder):
    """A GRU, each of whose states attends to the encoder's states (Luong et al., EMNLP 2015).

    Differs from arXiv:1508.04025 in that the GRU does not get the attended states of the last step
    (no "input feeding"), so that a whole text is read at once in training, and in that attention
    has heads. The first state is made of the pooled state of the encoder.

    Args:
        vocabulary: Number of tokens.
        memory: Width of the encoder's states.
        width: Width of the states, D.
        layers: Number of layers.
        heads: Heads of the attention.
        dropout: Dropout on the tokens' vectors, between layers, and on what is attended to.
    """

    def __init__(
        self, vocabulary: int, memory: int, *, width: int, layers: int, heads: int, dropout: float
    ) -> None:
        super().__init__()
        self.width, self.layers = width, layers
        self.vectors, self.dropout = TokenVectors(vocabulary, width), nn.Dropout(dropout)
        self.first = nn.Linear(memory, layers * width)
        self.recurrent = nn.GRU(width, width, layers, batch_first=True)
        self.attention = Attention(width, memory, heads, dropout)
        self.join = nn.Linear(2 * width, width)

    def start(self, memory: TokenStates) -> Past:
        keys, values = self.attention.keys_and_values(memory.states)
        first = torch.tanh(self.first(memory.pooled)).reshape(-1, self.layers, self.width)
        return Past((keys, values, readable(memory)), (first,))

    def forward(self, tokens: Tensor, past: Past) -> tuple[Tensor, Past]:
        (state,) = past.tokens
        given = self.dropout(self.vectors(tokens))
        with wide_recurrent(self.recurrent, given, state) as (wide, before):
            states, after = self._run(wide, before.transpose(0, 1).contiguous())
        attended = self.attention(states, *past.memory)
        joined = torch.tanh(self.join(torch.cat([states, attended], dim=2)))
        return self.dropout(joined), Past(past.memory, (after.transpose(0, 1),))

    def _run(self, states: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """Return the last layer's states, and the last one of each layer."""
        after: Tensor
        if not (self.training and self.dropout.p and self.layers > 1):
            states, after = self.recurrent(states, before)
            return states, after
        found = []
        for place, weights in enumerate(weights_by_layer(self.recurrent)):
            if place:
                states = self.dropout(states)
            states, after = run_gru(states, before[place : place + 1], weights)
            found.append(after)
        return states, torch.cat(found)
