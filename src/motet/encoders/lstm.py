"""A recurrent encoder for texts and sequences of vectors."""

from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from motet.encoders.base import Encoder
from motet.encoders.frames import as_frames
from motet.encoders.letters import LetterStates, refuse_letters
from motet.encoders.tokens import (
    Text,
    TokenEmbedding,
    as_text,
    check_reads,
    refuse_word_dropout,
    token_states,
)
from motet.kernels import run_layer, run_recurrent, weights_by_layer
from motet.options import Characters, Fraction, NonNegativeInt, PositiveInt, StrictBool, checked
from motet.problems import InputError
from motet.states import TokenStates
from motet.tracing import exporting, lstm_states

_BACKWARD = "reads texts from their end, too; set bidirectional: false"


@final
class LSTM(Encoder):
    """Read texts token by token (Hochreiter & Schmidhuber, Neural Computation 1997).

    Padding is never read: a text has the same states in every batch.

    Args:
        vocabulary: How many tokens there are, padding (0) included.
        segments: 1, or 2 for pairs of texts.
        frames: Of sequences of vectors in place of texts, the width of each vector.
        width: Width of the states, both directions together.
        layers: Number of layers.
        bidirectional: Whether texts are also read from their end, by half of the width.
        embedding_width: Width of the tokens' vectors; ``width`` if left out.
        dropout: Dropout on the tokens' vectors and after every layer.
        pool: How a whole text gets one state from those of its tokens. The largest values do best
            after an LSTM (Conneau et al., EMNLP 2017, arXiv:1705.02364).
        characters: Read the letters of words beside tokens, for tasks that label words: their
            states follow the tokens' vectors; see `motet.encoders.letters`.
        word_dropout: Share of tokens, drawn anew at each step, of which training hides the vector,
            so that a word is recognised by its neighbours and letters, too (Iyyer et al., ACL 2015;
            Lample et al., NAACL 2016, arXiv:1603.01360, do so with rare words): for tasks that meet
            names that no training text has.

    Raises:
        InputError: If the width is odd and texts are read from both ends.

    Example:
        >>> from torch import tensor
        >>> encoder = LSTM(100, width=8)
        >>> given = encoder(tensor([[5, 6, 7], [8, 0, 0]]))
        >>> given.states.shape, given.pooled.shape
        (torch.Size([2, 3, 8]), torch.Size([2, 8]))
    """

    reads = {"text": ("vocabulary", "segments"), "sequence": ("frames",)}  # noqa: RUF012
    more_stages = ""
    gives = "tokens"
    asks: ClassVar[tuple[str, ...]] = ("characters",)

    @checked
    def __init__(
        self,
        vocabulary: NonNegativeInt = 0,
        segments: PositiveInt = 1,
        frames: PositiveInt | None = None,
        *,
        width: PositiveInt = 128,
        layers: PositiveInt = 1,
        bidirectional: StrictBool = True,
        embedding_width: PositiveInt | None = None,
        dropout: Fraction = 0.1,
        pool: Literal["mean", "first", "max"] = "max",
        characters: Characters | None = None,
        word_dropout: Fraction = 0.0,
    ) -> None:
        super().__init__()
        if bidirectional and width % 2:
            raise InputError(
                f"found {width}, expected an even number: half for each direction", option="width"
            )
        self.width, self.pool = width, pool
        self.not_causal = _BACKWARD if bidirectional else ""
        check_reads(vocabulary, frames)
        refuse_letters(characters, frames)
        refuse_word_dropout(word_dropout, frames)
        self.frames = frames
        self.embedding: nn.Module = (
            TokenEmbedding(vocabulary, segments, embedding_width or width, word_dropout)
            if frames is None
            else nn.Linear(frames, embedding_width or width)
        )
        self.dropout = nn.Dropout(dropout)
        self.letters = None if characters is None else LetterStates(characters)
        self.recurrent = nn.LSTM(
            (embedding_width or width) + (0 if self.letters is None else self.letters.width),
            width // 2 if bidirectional else width,
            num_layers=layers,
            bidirectional=bidirectional,
            batch_first=True,
        )

    def forward(self, text: Text | Tensor, padding_mask: Tensor | None = None) -> TokenStates:
        given: Text | Tensor
        if self.frames is None:
            given, padding = text, padding = as_text(text, padding_mask)
        else:
            given, padding = as_frames(text, padding_mask, self.frames)
            text = {}
        lengths = (~padding).sum(1).clamp(min=1).cpu()  # a device sync; a text without token has 1
        read = self.embedding(given)
        if self.letters is not None:
            read = torch.cat([read, self.letters(text)], dim=-1)
        states = self.dropout(read)
        if self.training and self.dropout.p and self.recurrent.num_layers > 1:
            for weights in weights_by_layer(self.recurrent):
                states = self.dropout(self._run(states, lengths, weights))
        else:
            states = self.dropout(self._run(states, lengths))
        return token_states(states, padding, text, self.pool)

    def _run(self, states: Tensor, lengths: Tensor, layer: list[Tensor] | None = None) -> Tensor:
        """Compute all layers, or the one that has some weights."""
        if exporting():
            return lstm_states(self.recurrent, states, lengths)
        packed = pack_padded_sequence(states, lengths, batch_first=True, enforce_sorted=False)
        if layer is None:
            found = run_recurrent(self.recurrent, packed)
        else:
            found = run_layer(self.recurrent, packed, layer)
        padded, _ = pad_packed_sequence(found, batch_first=True, total_length=states.shape[1])
        return padded
