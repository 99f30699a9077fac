"""How many tokens fit a corpus, and of which kind: a rule from its size."""

from typing import Literal, NamedTuple

_FEW = 10_000
"""Number of texts below which words do as well as pieces of words, or better."""
LEAST, MOST = 2_000, 30_000
"""Smallest and largest vocabulary that is chosen."""
_OCCURRENCES = 100
"""Number of words of the corpus for each piece, so that pieces are frequent enough to learn."""
_VARIED = 3
"""Number of times that words occur on average, below which most words are rare."""


class Tokens(NamedTuple):
    """A kind of tokeniser and its size."""

    tokenizer: Literal["words", "wordpiece"]
    vocabulary: int
    reason: str
    """Why, in words that follow a colon."""


def tokens_for(texts: int, distinct_words: int, words: int) -> Tokens:
    """Choose a tokeniser by the size of a corpus.

    Args:
        texts: Number of training texts.
        distinct_words: Number of different words in them.
        words: Number of words in them.

    Returns:
        The choice.

    Example:
        >>> tokens_for(4_000, 9_000, 240_000)[:2], tokens_for(50_000, 40_000, 1_000_000)[:2]
        (('words', 9000), ('wordpiece', 10000))
    """
    corpus = f"{texts:,} texts, {words:,} words, {distinct_words:,} of them different"
    if texts < _FEW and words >= _VARIED * distinct_words:
        size = min(max(distinct_words, LEAST), _FEW)
        return Tokens("words", size, f"{corpus}: few texts, whose words occur again")
    return Tokens(
        "wordpiece", pieces_for(words), f"{corpus}: each piece occurs often enough to be learned"
    )


def size_for(tokenizer: str, words: int, distinct_words: int) -> int:
    """Return the number of tokens that fits a corpus, for a given kind of tokeniser.

    Example:
        >>> size_for("words", 60_000, 8_000), size_for("wordpiece", 60_000, 8_000)
        (8000, 2000)
    """
    return max(distinct_words, LEAST) if tokenizer == "words" else pieces_for(words)


def pieces_for(words: int) -> int:
    """Return the number of pieces of words that a corpus of so many words supports.

    Example:
        >>> pieces_for(60_000), pieces_for(450_000), pieces_for(10**9)
        (2000, 4000, 30000)
    """
    return min(max(words // _OCCURRENCES // 1_000 * 1_000, LEAST), MOST)
