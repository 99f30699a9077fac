"""A text as the bag of its words, pairs of words and pieces of words."""

from collections.abc import Mapping
from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, embedding_bag

from motet.encoders.base import Encoder
from motet.encoders.tokens import PAD, Text
from motet.options import Fraction, Lengths, NonNegativeInt, PositiveInt, checked
from motet.problems import InputError, shown
from motet.tracing import bag, exporting

GRAMS = "grams"


@final
class Bag(Encoder):
    """Average the vectors of a text's n-grams (fastText: Joulin et al., EACL 2017, 1607.01759).

    N-grams are words, runs of words, and pieces of words (Bojanowski et al., TACL 2017,
    arXiv:1607.04606), hashed into buckets, each with a vector: of words that no training text has,
    the pieces are known. With heads that are one linear layer this is a linear model of low rank
    of a text's n-grams, so it trains in seconds and needs few texts; it does not know in which
    order the words are. Its cost is that of the n-grams that a batch has, and a step of the
    optimizer on ``buckets`` x ``width`` numbers.

    Differs from fastText in that the sum of the vectors is divided by the root of their number
    unless ``pool`` is mean, that n-grams may be dropped out, and in ``start``.

    Args:
        vocabulary: Not read: n-grams do not depend on the tokens.
        segments: Not read: the texts of a pair are one bag.
        width: Width of the vectors.
        buckets: Number of vectors that n-grams share; of n-grams in the same bucket only the sum
            is known.
        words: Longest run of words: 1 for words, 2 for pairs of words, too.
        characters: Shortest and longest piece of a word, in letters; null for none.
        dropout: Share of the n-grams of a text that training leaves out at each step; the mean
            of those left is in the place of the mean of all, so features keep their size.
        pool: How vectors are added up: mean, or root, the sum divided by the root of their number.
        start: linear, vectors are 0, so each class starts as a linear model of the n-grams that
            knows nothing, its first step is that of logistic regression, and n-grams that no
            training text has stay without effect; random, vectors are drawn.

    Raises:
        InputError: If an option is wrong.

    Example:
        >>> encoder = Bag(0, width=8, buckets=100, start="random")
        >>> encoder({"grams": torch.tensor([[5, 6, 7], [8, 0, 0]])}).shape
        torch.Size([2, 8])
    """

    reads = "text"
    more_stages = ""
    gives = "rows"
    reads_tokens = False
    not_causal = "reads a text as a whole"
    asks: ClassVar[tuple[str, ...]] = ("grams",)

    @checked
    def __init__(
        self,
        vocabulary: NonNegativeInt = 0,
        segments: PositiveInt = 1,
        *,
        width: PositiveInt = 64,
        buckets: PositiveInt = 65_536,
        words: PositiveInt = 2,
        characters: Lengths | None = (3, 5),
        dropout: Fraction = 0.2,
        pool: Literal["mean", "root"] = "root",
        start: Literal["linear", "random"] = "linear",
    ) -> None:
        super().__init__()
        self.width, self.dropout, self.pool = width, dropout, pool
        self.vectors = nn.Embedding(buckets + 1, width, padding_idx=PAD)
        with torch.no_grad():
            self.vectors.weight.mul_(0 if start == "linear" else width**-0.5)

    def forward(self, text: Text) -> Tensor:
        """Encode texts.

        Args:
            text: "grams", their n-grams (B, G), 1 to ``buckets``, and 0 where there is none.

        Returns:
            Features (B, width); zeros for a text without n-grams.

        Raises:
            InputError: If there are no n-grams, or some are not whole or outside the buckets.
        """
        grams = text.get(GRAMS) if isinstance(text, Mapping) else None
        if grams is None:
            raise InputError(
                f"found {shown(text)}; expected the n-grams of texts, "
                '{"grams": (B, G)}, which the input `text` has where its encoder is a bag'
            )
        count = (grams != PAD).sum(1, keepdim=True)
        if self.training and self.dropout:
            kept = dropout(torch.ones(grams.shape, device=grams.device), self.dropout)
            grams = grams * (kept > 0)
        if grams.is_floating_point():
            raise InputError(f"found n-grams of {grams.dtype}, expected whole numbers: grams.int()")
        try:
            found = self._mean(grams)
        except (IndexError, RuntimeError):  # on the CPU; a GPU has its own message
            raise InputError(
                f"texts have n-grams up to {int(grams.max())}, expected up to "
                f"{self.vectors.num_embeddings - 1}: give the input and the encoder the same "
                "buckets"
            ) from None
        if self.pool == "mean":
            return found
        return found * count.to(found).sqrt()

    def _mean(self, grams: Tensor) -> Tensor:
        if exporting():
            return bag(grams, self.vectors.weight, mean=True)
        if not grams.shape[1]:  # torch refuses bags of no width
            grams = grams.new_zeros(len(grams), 1)
        return embedding_bag(grams, self.vectors.weight, mode="mean", padding_idx=PAD)
