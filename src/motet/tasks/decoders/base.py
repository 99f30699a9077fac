"""What decoders have in common: what they remember of a text so far, and attention."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from motet.states import TokenStates


class Past(NamedTuple):
    """What a decoder keeps between two tokens; all tensors have rows first."""

    memory: tuple[Tensor, ...]
    """What it reads of the encoder's states; the same for all beams of a row."""
    tokens: tuple[Tensor, ...]
    """What it remembers of the tokens so far."""

    def map(self, function: Callable[[Tensor], Tensor]) -> "Past":
        """Return it with a function applied to every tensor."""
        return Past(tuple(map(function, self.memory)), tuple(map(function, self.tokens)))

    def reordered(self, rows: Tensor) -> "Past":
        """Return what it remembers of the tokens of other rows, in place of these."""
        return Past(self.memory, tuple(each.index_select(0, rows) for each in self.tokens))


class Decoder(nn.Module, ABC):
    """From tokens so far, and the states of an encoder, to one state per token.

    A state depends on the tokens up to its own. `forward` continues where a `Past` ended, so a
    whole text at once (teacher forcing) and token by token (generation) give the same states.
    """

    width: int
    """Width of the states, D."""

    @abstractmethod
    def start(self, memory: TokenStates) -> Past:
        """Return what is known before the first token.

        Args:
            memory: States of the encoder, (B, M, width of the encoder).
        """

    @abstractmethod
    def forward(self, tokens: Tensor, past: Past) -> tuple[Tensor, Past]:
        """Read further tokens.

        Args:
            tokens: Tokens (B, L).
            past: What is known before them.

        Returns:
            States (B, L, D), and what is known after them.
        """


class Attention(nn.Module):
    """Attention of several heads, whose keys and values can be kept.

    Args:
        width: Width of queries and results.
        memory: Width of what is attended to.
        heads: Number of heads; they divide ``width``.
        dropout: Dropout on the attention's weights.
    """

    def __init__(self, width: int, memory: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.key, self.value = nn.Linear(memory, width), nn.Linear(memory, width)

    def keys_and_values(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values of states (B, M, memory), each (B, heads, M, width / heads)."""
        return self._split(self.key(states)), self._split(self.value(states))

    def forward(
        self, queries: Tensor, keys: Tensor, values: Tensor, there: Tensor | None
    ) -> Tensor:
        """Return (B, L, width).

        Args:
            queries: (B, L, width).
            keys: As `keys_and_values` returns them.
            values: As well.
            there: What may be attended to, a mask that broadcasts to (B, heads, L, M); all if None.
        """
        rate = self.dropout if self.training else 0.0
        query = self._split(self.query(queries))
        found = scaled_dot_product_attention(query, keys, values, attn_mask=there, dropout_p=rate)
        mixed: Tensor = self.out(found.transpose(1, 2).flatten(2))
        return mixed

    def _split(self, states: Tensor) -> Tensor:
        return states.reshape(*states.shape[:2], self.heads, -1).transpose(1, 2)


class TokenVectors(nn.Embedding):
    """A vector per token, of length 1 on average, as those of text encoders."""

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__(vocabulary, width)
        with torch.no_grad():
            self.weight.mul_(width**-0.5)


def readable(memory: TokenStates) -> Tensor:
    """Return which states can be attended to, (B, 1, 1, M): of a row without any, the first."""
    there = ~memory.padding
    first = torch.zeros_like(there)
    first[:, 0] = True
    return (there | first & ~there.any(dim=1, keepdim=True))[:, None, None]
