"""The letters of words, as small whole numbers that need no training data.

0 is no letter; ASCII has its own numbers, all other characters share 126 more, so that the letters
of one alphabet rarely meet.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SYMBOLS = 256
"""Number of letters, "none" included."""
_FIRST, _ASCII = 2, 128
_OTHERS = SYMBOLS - _FIRST - _ASCII


def letters_of(words: Sequence[str], longest: int) -> NDArray[np.uint8]:
    """Return the letters of words; of a longer word the first and the last ones.

    Args:
        words: N words.
        longest: Number of letters K.

    Returns:
        (N, K), 0 after the last letter.

    Example:
        >>> letters_of(["abc", "", "abcdef"], 4)
        array([[ 99, 100, 101,   0],
               [  0,   0,   0,   0],
               [ 99, 100, 103, 104]], dtype=uint8)
    """
    known: dict[str, int] = {}
    numbers = [known.setdefault(word, len(known)) for word in words]
    table = np.zeros((max(len(known), 1), longest), np.uint8)
    for place, word in enumerate(known):
        if len(word) > longest:
            end = longest // 2
            word = word[: longest - end] + word[len(word) - end :]
        if word:
            table[place, : len(word)] = _numbers(word)
    found: NDArray[np.uint8] = table[np.array(numbers, np.int64)]
    return found


def _numbers(word: str) -> NDArray[np.uint8]:
    points = np.frombuffer(word.encode("utf-32-le", "surrogatepass"), "<u4")
    others = _FIRST + _ASCII + points % _OTHERS
    return np.where(points < _ASCII, _FIRST + points, others).astype(np.uint8)
