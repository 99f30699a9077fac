"""How many tokens fit a corpus: a rule from its size."""

_LEAST, _MOST = 2_000, 30_000
"""Smallest and largest vocabulary that is chosen."""
_OCCURRENCES = 100
"""Number of words of the corpus for each piece, so that pieces are frequent enough to learn."""


def size_for(tokenizer: str, words: int, distinct_words: int) -> int:
    """Return the number of tokens that fits a corpus, for a given kind of tokeniser.

    Example:
        >>> size_for("words", 60_000, 8_000), size_for("wordpiece", 60_000, 8_000)
        (8000, 2000)
        >>> size_for("wordpiece", 450_000, 8_000), size_for("wordpiece", 10**9, 10**6)
        (4000, 30000)
    """
    if tokenizer == "words":
        return max(distinct_words, _LEAST)
    return min(max(words // _OCCURRENCES // 1_000 * 1_000, _LEAST), _MOST)
