"""What text encoders have in common: padding, positions of words, one state for a whole text.

A text comes as ``{"ids": (B, L)}``, or as its tokens (B, L) alone, token 0 being padding unless a
padding mask is given. Tokens come first in each row: no text that is tokenised here has a 0 between
them, and what a state is after one is not defined. Where words were cut into sub-words it also has
``"words"`` (B, W), the place of each word's first sub-word, -1 after the last word; where it is a
pair, ``"segments"`` (B, L), 0 or 1. What encoders ask for beside tokens is ``"grams"`` (B, G), the
n-grams of each text, and ``"characters"`` (B, L, K), the letters of each token's word; 0 is none.
Where it has ``"causal"``, (B, 1), no state may depend on later tokens; an encoder that can do so
has an empty ``not_causal``.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, pad

from motet.kernels import steady_length
from motet.problems import InputError, shown
from motet.states import TokenStates
from motet.tracing import exporting

PAD = 0
"""The token that stands for no token."""

Pooling = Literal["mean", "first", "max"]
Text = Mapping[str, Tensor]


def create_padding_mask(ids: Tensor, pad: int = PAD) -> Tensor:
    """Mark where a batch of texts has no token, in the form that attention expects.

    Args:
        ids: Tokens, (B, L).
        pad: The token that stands for no token.

    Returns:
        True at padding, (B, L).

    Example:
        >>> create_padding_mask(torch.tensor([[7, 3, 0], [5, 0, 0]]))
        tensor([[False, False,  True],
                [False,  True,  True]])
    """
    return ids == pad


def as_text(text: Text | Tensor, padding_mask: Tensor | None = None) -> tuple[Text, Tensor]:
    """Take a batch of texts as a user may give it, and find its padding.

    Texts of no token at all, (B, 0), get a place for one: padding, of which nothing is known.

    Args:
        text: A text as this module describes it, or its tokens alone, (B, L).
        padding_mask: True at padding, (B, L); token 0 is padding if left out.

    Returns:
        The text, its parts at least (B, 1), and its padding mask.

    Raises:
        InputError: If it is not a text, or the mask has another shape or padding before tokens.
    """
    if isinstance(text, Tensor):
        text = {"ids": text}
    ids = text.get("ids") if isinstance(text, Mapping) else None
    if not isinstance(ids, Tensor) or ids.ndim != 2:
        found = shown(text) if ids is None else f"ids of {_shape(ids)}"
        raise InputError(
            f'found {found}, expected a tensor of tokens (B, L), as it is or as {{"ids": tokens}}'
        )
    if padding_mask is not None:
        check_padding(padding_mask, ids.shape, "motet.encoders.create_padding_mask(ids, pad)")
    if not all(part.shape[1] for part in text.values()):
        nothing = {name: -1 if name == "words" else PAD for name in text}
        text = {
            name: part if part.shape[1] else _longer(part, 1, nothing[name])
            for name, part in text.items()
        }
    if padding_mask is None or not ids.shape[1]:
        padding_mask = create_padding_mask(text["ids"])
    return text, padding_mask


def filled_up(
    text: Text, padding: Tensor, numbers: Tensor, longest: int | None = None
) -> tuple[Text, Tensor]:
    """Add padding where lengths should be few; see `motet.kernels`.

    Args:
        text: A text.
        padding: True at padding, (B, L).
        numbers: Weights of the encoder.
        longest: The longest text that it takes, if there is one.

    Returns:
        The text and its padding, whose states after the first L belong to no token.
    """
    length = padding.shape[1]
    more = steady_length(length, numbers, longest) - length
    if not more:
        return text, padding
    others = ("words", "grams")
    filled = {name: _longer(part, more) for name, part in text.items() if name not in others}
    return filled, pad(padding, (0, more), value=True)


def _longer(part: Tensor, more: int, value: int = PAD) -> Tensor:
    """Add padding to the tokens of texts (B, L, ...)."""
    return pad(part, (0, 0) * (part.ndim - 2) + (0, more), value=value)


def check_padding(mask: Any, shape: Sequence[int], made: str) -> None:
    """Check a padding mask that a user gives; it waits for the device.

    Args:
        mask: The mask.
        shape: The shape that it has to have, (B, L).
        made: What makes such a mask, for the message.

    Raises:
        InputError: If it is no such mask, or has padding before a token.
    """
    if not isinstance(mask, Tensor) or mask.shape != shape or mask.dtype != torch.bool:
        raise InputError(
            f"padding_mask: found {_shape(mask)}, expected {tuple(shape)} of bool, True at "
            f"padding: {made}"
        )
    gaps = (mask[:, :-1] & ~mask[:, 1:]).any(dim=1)
    if bool(gaps.any()):  # a device sync
        raise InputError(
            f"padding_mask: found padding before a token in row {int(gaps.nonzero()[0])}, expected "
            "tokens first in every row, and padding after them"
        )


def _shape(found: Any) -> str:
    if isinstance(found, Tensor):
        return f"{tuple(found.shape)} of {str(found.dtype).removeprefix('torch.')}"
    return type(found).__name__


def pooled(states: Tensor, padding: Tensor, how: Pooling = "mean") -> Tensor:
    """Join the states of a text's tokens into one; padding counts for nothing.

    Args:
        states: (B, L, D).
        padding: True at padding, (B, L).
        how: The mean or the largest value over the tokens, or the state of the first.

    Returns:
        (B, D); zeros for a text without any token.

    Example:
        >>> states = torch.tensor([[[1.0], [3.0], [9.0]]])
        >>> pooled(states, torch.tensor([[False, False, True]]))
        tensor([[2.]])
    """
    real = ~padding[..., None]
    if how == "first":
        return states[:, 0] * real[:, 0]
    if how == "mean":
        return torch.where(real, states, 0.0).sum(1) / real.sum(1).clamp(min=1)
    largest = states.masked_fill(~real, -torch.inf).amax(1)
    return torch.where(real.any(1), largest, 0.0)


def token_states(states: Tensor, padding: Tensor, text: Text, how: Pooling = "mean") -> TokenStates:
    """Turn the states of tokens into what a text encoder returns.

    Args:
        states: A state per token, (B, L, D); what comes after the first L is left out.
        padding: True at padding, (B, L).
        text: What the encoder was given.
        how: How a whole text gets one state; see `pooled`.

    Returns:
        A state per word, that of its first sub-word, or per token where words were not cut; and one
        for the whole text.
    """
    states = states[:, : padding.shape[1]]
    whole = pooled(states, padding, how)
    words = text.get("words")
    if words is None:
        return TokenStates(states, padding, whole)
    places = words.clamp(min=0)[..., None].expand(-1, -1, states.shape[2])
    return TokenStates(states.gather(1, places), words < 0, whole)


def check_words(found: object, text: Text | Tensor, encoder: nn.Module) -> None:
    """Check that an encoder returns one state per word for a text whose words are labelled.

    Args:
        found: What it returned.
        text: What it was given.
        encoder: The encoder.

    Raises:
        InputError: If there are not as many states as words; the padding itself is compared only
            on a CPU, as a GPU would have to wait.
    """
    words = text.get("words") if isinstance(text, Mapping) else None
    padding = found.padding if isinstance(found, TokenStates) else None
    if padding is not None and (words is None or _same(padding, words < 0)):
        return
    given = type(found).__name__ if padding is None else f"padding {tuple(padding.shape)}"
    expected = "" if words is None else f" with padding {tuple(words.shape)}, text['words'] < 0"
    raise InputError(
        f"{type(encoder).__name__} gave {given} for a text whose words are labelled, expected "
        f"TokenStates{expected}: one state per word, not per token; return "
        "motet.encoders.token_states(states, padding, text)"
    )


def _same(one: Tensor, other: Tensor) -> bool:
    unread = one.device.type != "cpu" or exporting()
    return one.shape == other.shape and (unread or torch.equal(one, other))


def check_reads(vocabulary: int, frames: int | None) -> None:
    """Check that an encoder of sequences is made for tokens or for vectors.

    Raises:
        InputError: If it is made for neither or both.
    """
    if not vocabulary and frames is None:
        raise InputError(
            "found 0; expected how many tokens there are, padding (0) included, or, for sequences "
            "of vectors, frames=WIDTH",
            option="vocabulary",
        )
    if vocabulary and frames is not None:
        raise InputError(
            f"found {vocabulary} beside frames: {frames}; expected one of them, vocabulary for "
            "tokens or frames for vectors",
            option="vocabulary",
        )


def refuse_word_dropout(share: float, frames: int | None) -> None:
    """Refuse the option of an encoder that reads vectors in place of tokens.

    Raises:
        InputError: If it is given.
    """
    if share and frames is not None:
        raise InputError(
            "hides the vectors of tokens, and a sequence of vectors has no tokens; remove it",
            option="word_dropout",
        )


class TokenEmbedding(nn.Module):
    """A vector per token, and per segment where a text has several.

    First vectors have length 1 on average, as is usual where they are learned from few texts:
    torch's own are longer by the root of the width, and a word that is rare then stays noise.

    Args:
        vocabulary: How many tokens there are, padding included.
        segments: 1, or 2 for pairs of texts.
        width: Width of the vectors, D.
        word_dropout: Share of tokens that have no vector in training, 0.
    """

    def __init__(
        self, vocabulary: int, segments: int, width: int, word_dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.word_dropout = word_dropout
        self.tokens = nn.Embedding(vocabulary, width, padding_idx=PAD)
        self.segments = nn.Embedding(segments, width) if segments > 1 else None
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.mul_(width**-0.5)

    def forward(self, text: Text) -> Tensor:
        """Look up the tokens of texts.

        Returns:
            Their vectors, (B, L, D).

        Raises:
            InputError: If a token is not a whole number or outside the vocabulary, or segments are
                missing.
        """
        ids = text["ids"]
        if ids.is_floating_point():
            raise InputError(f"found tokens of {_shape(ids)}, expected whole numbers: ids.long()")
        try:
            states: Tensor = self.tokens(ids)
        except IndexError:  # on the CPU; a GPU has its own message
            raise InputError(
                f"texts have tokens {int(ids.min())} to {int(ids.max())}, expected 0 to "
                f"{self.tokens.num_embeddings - 1}: use the tokenizer that the encoder was made for"
            ) from None
        if self.training and self.word_dropout:
            kept = dropout(torch.ones(ids.shape, device=ids.device), self.word_dropout) > 0
            states = states * kept[..., None]
        if self.segments is None:
            return states
        if "segments" not in text:
            raise InputError("a text has no segments, expected 0 or 1 for each of its tokens")
        parts: Tensor = self.segments(text["segments"])
        return states + parts
