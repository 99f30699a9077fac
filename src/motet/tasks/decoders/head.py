"""The head of a task that generates texts."""

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, pad

from motet.kernels import steady_length
from motet.states import TokenStates
from motet.tasks.decoders.base import Decoder, Past
from motet.tasks.decoders.search import Search
from motet.tasks.labels import at_least_float32
from motet.tasks.token_texts import END, UNKNOWN, expected, given


def as_memory(state: TokenStates | Tensor) -> TokenStates:
    """Return what a decoder attends to: states as they are, or one of a row (B, D) as the only."""
    if isinstance(state, TokenStates):
        return state
    return TokenStates(state[:, None], state.new_zeros(len(state), 1, dtype=torch.bool), state)


class GenerationHead(nn.Module):
    """A decoder with an output layer: scores of tokens where a text is given, else a text.

    Args:
        decoder: From tokens to states.
        output: From states (B, L, D) to scores of tokens (B, L, V).
        search: How texts are found.
    """

    takes_target = True

    def __init__(self, decoder: Decoder, output: nn.Module, search: Search) -> None:
        super().__init__()
        self.decoder, self.output, self.search = decoder, output, search

    def forward(self, state: TokenStates | Tensor, target: Tensor | None = None) -> Tensor:
        """Compute scores, or generate.

        Args:
            state: States of the encoder, or one per row (B, D).
            target: Labels (B, L), of which each token is predicted from those before it.

        Returns:
            With labels, scores (B, M, V) of the tokens that `expected` returns, up to the end of
            the longest text; without, tokens (B, L), -100 from the end on.
        """
        memory = as_memory(state)
        if target is None:
            return self._generated(memory)
        wanted = expected(target, self.search.max_length)
        longest = max(1, int((wanted >= 0).sum(dim=1).max())) if len(wanted) else 1  # a device sync
        tokens = given(wanted[:, :longest])
        filled = steady_length(longest, memory.states) - longest
        past = self.decoder.start(memory)
        states, _ = self.decoder(pad(tokens, (0, filled), value=END), past)
        scores: Tensor = self.output(states)
        return scores[:, :longest]

    @torch.no_grad()
    def _generated(self, memory: TokenStates) -> Tensor:
        past = self.decoder.start(memory)
        return self.search(self._step, past, len(memory.states), memory.states.device)

    def _step(self, tokens: Tensor, past: Past) -> tuple[Tensor, Past]:
        states, past = self.decoder(tokens[:, None], past)
        scores = log_softmax(at_least_float32(self.output(states[:, 0])), dim=1)
        scores[:, UNKNOWN] = -torch.inf
        return scores, past


class OwnDecoder(nn.Module):
    """A user's own decoder, which is given the same states whatever the encoder returns.

    Args:
        module: Called with `motet.states.TokenStates` and ``target``, labels or None.
    """

    takes_target = True

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, state: TokenStates | Tensor, target: Tensor | None = None) -> Tensor:
        """Return scores (B, M, V) with labels, generated tokens (B, L) without."""
        raw: Tensor = self.module(as_memory(state), target=target)
        return raw
