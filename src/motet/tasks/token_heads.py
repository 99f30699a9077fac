"""Heads over tokens: from `TokenStates` to one raw output per token."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from motet.kernels import run_recurrent, steady_length
from motet.problems import InputError
from motet.states import TokenStates
from motet.tasks.heads import TaskHead
from motet.tasks.labels import row_with_gap
from motet.tracing import exporting, lstm_states


class TokenHead(nn.Module):
    """The same head for every token, perhaps after a layer that reads their neighbours.

    Args:
        head: Maps states (B, L, D) to raw outputs (B, L, outputs).
        context: Maps states (B, L, D) and padding (B, L) to states.
    """

    def __init__(self, head: nn.Module, context: nn.Module | None = None) -> None:
        super().__init__()
        self.context, self.head = context, head

    def forward(self, tokens: TokenStates, **more: Any) -> Tensor:
        """Return raw outputs (B, L, outputs), NaN at padding.

        Raises:
            InputError: If, on a CPU, a word comes after padding.
        """
        row = row_with_gap(~tokens.padding)
        if row is not None:
            raise InputError(
                f"the encoder gave a word after padding in row {row}, expected words first; join "
                "or leave out what is not a word, and pad at the end"
            )
        states = tokens.states
        if self.context is not None:
            states = self.context(states, tokens.padding)
        length = states.shape[1]
        if isinstance(self.head, TaskHead):  # a user's own head may read other words
            states = pad(states, (0, 0, 0, steady_length(length, states) - length))
        raw: Tensor = self.head(states, **more)[:, :length]
        return raw.masked_fill(tokens.padding.unsqueeze(2), torch.nan)


class TokenLSTM(nn.Module):
    """An LSTM over the words of each sequence in both directions, which padding does not reach.

    On a GPU it waits for the device once, for the lengths.

    Args:
        width: Width D of the states that come in; as many go out, one more if it is odd.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        half = (width + 1) // 2
        self.width = 2 * half
        """Width of the states that go out."""
        self.lstm = nn.LSTM(width, half, batch_first=True, bidirectional=True)

    def forward(self, states: Tensor, padding: Tensor) -> Tensor:
        """Return states (B, L, width), 0 at padding."""
        lengths = (~padding).sum(dim=1).clamp(min=1).cpu()  # a row without words is computed too
        if exporting():
            return lstm_states(self.lstm, states, lengths)
        packed = pack_padded_sequence(states, lengths, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(
            run_recurrent(self.lstm, packed), batch_first=True, total_length=states.shape[1]
        )[0]
