"""An attention-based encoder for texts and sequences of vectors."""

import math
from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from motet.attention_heads import check_heads
from motet.encoders.base import Encoder
from motet.encoders.frames import as_frames
from motet.encoders.letters import LetterStates, refuse_letters
from motet.encoders.tokens import (
    Text,
    TokenEmbedding,
    as_text,
    check_reads,
    filled_up,
    refuse_word_dropout,
    token_states,
)
from motet.options import Characters, Fraction, NonNegativeInt, PositiveInt, StrictBool, checked
from motet.positions import sinusoidal_positions
from motet.problems import InputError
from motet.states import TokenStates


@final
class Transformer(Encoder):
    """Let every token of a text attend to all others (Vaswani et al., NeurIPS 2017, 1706.03762).

    Differs from the paper in that layers are normalised before attention and feed-forward, not
    after them, with one more norm at the end: training then needs no warm-up to be stable (Xiong et
    al., ICML 2020, arXiv:2002.04745). ``norm="after"`` is the paper.

    Args:
        vocabulary: How many tokens there are, padding (0) included.
        segments: 1, or 2 for pairs of texts.
        frames: Of sequences of vectors in place of texts, the width of each vector.
        width: Width of the states, D.
        heads: Attention heads; they divide the width.
        layers: Number of layers.
        feedforward: Width inside a layer; four times ``width`` if left out.
        dropout: Dropout on the tokens' vectors and within the layers.
        positions: Fixed sines and cosines, for texts of any length, or a learned vector for each of
            ``max_length`` places.
        max_length: Longest text with learned positions, in tokens.
        norm: Whether layers are normalised before or after what they add.
        pool: How a whole text gets one state from those of its tokens.
        checkpointing: Keep only the states between layers and compute the rest again in the
            backward pass: less memory, about a third more time.
        characters: Read the letters of words beside tokens, for tasks that label words: their
            states are mapped to the width and added to the tokens' vectors, as a linear layer on
            both would; see `motet.encoders.letters`.
        word_dropout: Share of tokens, drawn anew at each step, of which training hides the vector,
            so that a word is recognised by its neighbours and letters, too (Iyyer et al., ACL 2015;
            Lample et al., NAACL 2016, arXiv:1603.01360, do so with rare words): for tasks that meet
            names that no training text has.

    Raises:
        InputError: If ``heads`` does not divide the width.

    Example:
        >>> encoder = Transformer(100, width=16, heads=2, layers=1)
        >>> given = encoder(torch.tensor([[5, 6, 7], [8, 0, 0]]))
        >>> given.states.shape, given.pooled.shape
        (torch.Size([2, 3, 16]), torch.Size([2, 16]))
    """

    reads = {"text": ("vocabulary", "segments"), "sequence": ("frames",)}  # noqa: RUF012
    more_stages = ""
    gives = "tokens"
    asks: ClassVar[tuple[str, ...]] = ("characters",)
    not_causal = ""

    @checked
    def __init__(
        self,
        vocabulary: NonNegativeInt = 0,
        segments: PositiveInt = 1,
        frames: PositiveInt | None = None,
        *,
        width: PositiveInt = 512,
        heads: PositiveInt = 8,
        layers: PositiveInt = 6,
        feedforward: PositiveInt | None = None,
        dropout: Fraction = 0.1,
        positions: Literal["sinusoidal", "learned"] = "sinusoidal",
        max_length: PositiveInt = 512,
        norm: Literal["before", "after"] = "before",
        pool: Literal["mean", "first", "max"] = "mean",
        checkpointing: StrictBool = False,
        characters: Characters | None = None,
        word_dropout: Fraction = 0.0,
    ) -> None:
        super().__init__()
        check_heads(heads, width)
        self.width, self.pool, self.checkpointing = width, pool, checkpointing
        check_reads(vocabulary, frames)
        refuse_letters(characters, frames)
        refuse_word_dropout(word_dropout, frames)
        self.frames = frames
        self.embedding: nn.Module = (
            TokenEmbedding(vocabulary, segments, width, word_dropout)
            if frames is None
            else nn.Linear(frames, width)
        )
        self.letters: nn.Sequential | None = None
        if characters is not None:
            letters = LetterStates(characters)
            self.letters = nn.Sequential(letters, nn.Linear(letters.width, width))
        self.positions = nn.Embedding(max_length, width) if positions == "learned" else None
        if self.positions is not None:
            nn.init.normal_(self.positions.weight, std=0.02)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width,
                heads,
                feedforward or 4 * width,
                dropout,
                batch_first=True,
                norm_first=norm == "before",
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width) if norm == "before" else nn.Identity()

    def forward(self, text: Text | Tensor, padding_mask: Tensor | None = None) -> TokenStates:
        if self.frames is None:
            text, padding = as_text(text, padding_mask)
            longest = None if self.positions is None else self.positions.num_embeddings
            weight = self.embedding.tokens.weight  # type: ignore[union-attr]  # of tokens
            given, ignored = filled_up(text, padding, weight, longest)  # type: ignore[arg-type]  # a tensor
            states = self.embedding(given) * math.sqrt(self.width)
            if self.letters is not None:
                states = states + self.letters(given)
        else:
            frames, padding = as_frames(text, padding_mask, self.frames)
            text, ignored, states = {}, padding, self.embedding(frames)
        states = self.dropout(states + self._positions(states))
        ignored = ignored.clone()
        ignored[:, 0] = False  # a text without token attends to its padding: softmax needs some
        later = _later(states) if "causal" in text else None
        for layer in self.layers:
            if self.checkpointing and torch.is_grad_enabled():
                states = checkpoint(layer, states, later, ignored, use_reentrant=False)
            else:
                states = layer(states, later, ignored)
        return token_states(self.norm(states), padding, text, self.pool)

    def _positions(self, states: Tensor) -> Tensor:
        """Return a vector for each place (L, D)."""
        length = states.shape[1]
        if self.positions is None:
            return sinusoidal_positions(length, self.width).to(states)
        if length > self.positions.num_embeddings:
            raise InputError(
                f"a text has {length} tokens, but there are positions for "
                f"{self.positions.num_embeddings}; cut texts (max_length of the input), or give "
                "the encoder a larger max_length"
            )
        return self.positions.weight[:length]


def _later(states: Tensor) -> Tensor:
    """Return True where a token is after another, (L, L)."""
    length = states.shape[1]
    return torch.ones(length, length, dtype=torch.bool, device=states.device).triu(1)
