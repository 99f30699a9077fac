"""Words, runs of words and pieces of words, as the numbers of buckets that they are hashed into.

To a bag a text has no order but that within its n-grams, as in fastText (Joulin et al., EACL 2017,
arXiv:1607.01759; pieces of words, Bojanowski et al., TACL 2017, arXiv:1607.04606). Nothing is
learned from data, so words that no training row has are read, too. The hash is BLAKE2 of an
n-gram's UTF-8: the same on every machine.
"""

import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from motet.data.tokenising import Given
from motet.row_hashes import row_hashes

_ODD = np.uint64(0x9E3779B97F4A7C15)
"""What the hash of a run is multiplied by before a word is added, so that order counts."""
_LONGEST = 500
"""Number of first letters of a word whose pieces are read: a sentence of Thai is one word."""
_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_CHUNK = 5_000
"""Number of texts that are hashed at a time, as hashing needs ten times the memory."""

Hashes = NDArray[np.uint64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Grams:
    """Which n-grams of a text are read.

    Example:
        >>> values, lengths, _ = Grams(1000, characters=None).of(["a cat", "", "a dog"])
        >>> lengths.tolist(), bool(values[0] == values[3])
        ([3, 0, 3], True)
    """

    buckets: int
    """Number of buckets; n-grams have the numbers 1 to ``buckets``."""
    words: int = 2
    """Number of words of the longest run: 1 for words alone, 2 for words and pairs."""
    characters: tuple[int, int] | None = None
    """Number of letters of the shortest and of the longest piece of a word; None for no pieces."""
    lowercase: bool = True
    """Whether texts are converted to lower case."""

    def of(
        self, texts: Sequence[Given], longest: int | None = None
    ) -> tuple[NDArray[np.int32], Integers, int]:
        """Return the n-grams of texts, each as often as it occurs.

        A word is a sequence of letters, with their marks, digits and "_"; a Chinese character is a
        word, and so is any other character that is no white space, which has no pieces. No run
        reaches from one text of a pair into the other. The beginning and the end of a word are
        letters of its pieces.

        Args:
            texts: N texts, lists of words, or pairs of texts.
            longest: Number of words that are read of each text, or of both texts of a pair, of
                which the longer one is truncated first; all if left out.

        Returns:
            The n-grams, text after text, (sum of lengths,); their number in each text, (N,); and
            how many texts were truncated.
        """
        chunks = [texts[start : start + _CHUNK] for start in range(0, len(texts), _CHUNK)]
        found = [self._of(chunk, longest) for chunk in chunks or [texts]]
        values, lengths, cut = zip(*found, strict=True)
        return np.concatenate(values), np.concatenate(lengths), sum(cut)

    def _of(
        self, texts: Sequence[Given], longest: int | None
    ) -> tuple[NDArray[np.int32], Integers, int]:
        known: dict[str, int] = {}
        words: list[int] = []
        counts: list[int] = []  # of every text, or of both texts of every pair
        cut = 0
        for text in texts:
            parts = [self._words(each) for each in (text if isinstance(text, tuple) else (text,))]
            if longest is not None and sum(map(len, parts)) > longest:
                parts, cut = _truncated(parts, longest), cut + 1
            for read in parts:
                words += [known.setdefault(word, len(known)) for word in read]
                counts.append(len(read))
        word = np.array(words, np.int64)
        part = np.repeat(np.arange(len(counts)), np.array(counts, np.int64))
        row = part // (len(counts) // max(len(texts), 1) or 1)
        found = [*self._runs(_hashed("w", known)[word], part, row), self._pieces(known, word, row)]
        rows = np.concatenate([rows for rows, _ in found])
        hashes = np.concatenate([hashes for _, hashes in found])
        values = (row_hashes(hashes.view(np.int64)) % np.uint64(self.buckets)).astype(
            np.int32
        ) + np.int32(1)
        lengths = np.bincount(rows, minlength=len(texts)).astype(np.int64)
        return values[rows.argsort(kind="stable")], lengths, cut

    def _words(self, text: str | Sequence[str]) -> list[str]:
        line = text if isinstance(text, str) else " ".join(text)
        found: list[str] = _unit().findall(line.lower() if self.lowercase else line)
        return found

    def _runs(
        self, whole: Hashes, part: Integers, row: Integers
    ) -> Iterator[tuple[Integers, Hashes]]:
        """Yield the rows and hashes of all runs of one word, of two words, and so on."""
        run = whole
        yield row, run
        for more in range(1, self.words):
            run = run[:-1] * _ODD + whole[more:]
            within = part[: len(run)] == part[more:]
            yield row[: len(run)][within], run[within]

    def _pieces(
        self, known: Iterable[str], word: Integers, row: Integers
    ) -> tuple[Integers, Hashes]:
        """Return the rows and hashes of the pieces of all words (in order of their numbers)."""
        if self.characters is None:
            return np.empty(0, np.int64), np.empty(0, np.uint64)
        pieces = [_pieces(each, *self.characters) for each in known]
        hashes = _hashed("c", (piece for each in pieces for piece in each))
        counts = np.fromiter(map(len, pieces), np.int64, len(pieces))
        starts, own = (counts.cumsum() - counts)[word], counts[word]
        before = (own.cumsum() - own).repeat(own)
        places = np.arange(own.sum()) - before + starts.repeat(own)
        return row.repeat(own), hashes[places]


@cache
def _unit() -> re.Pattern[str]:
    """Return what matches a word: letters have marks, such as the vowels of Hindi."""
    every = map(chr, range(sys.maxunicode + 1))
    marks = "".join(each for each in every if unicodedata.category(each).startswith("M"))
    return re.compile(rf"[{_HAN}]|(?:[^\W{_HAN}]+[{marks}]*)+|[^\w\s]")


def _truncated(parts: list[list[str]], longest: int) -> list[list[str]]:
    """Return the first words of a text, or of both of a pair, the longer one truncated first."""
    if len(parts) == 1:
        return [parts[0][:longest]]
    first, second = parts
    kept = min(len(second), max(longest - len(first), longest // 2))
    return [first[: longest - kept], second[:kept]]


def _pieces(word: str, shortest: int, longest: int) -> list[str]:
    if not (word[0].isalnum() or word[0] == "_"):
        return []
    spelt = f"<{word}>" if len(word) <= _LONGEST else f"<{word[:_LONGEST]}"
    return [
        spelt[start : start + length]
        for length in range(shortest, longest + 1)
        for start in range(len(spelt) - length + 1)
    ]


def _hashed(kind: str, texts: Iterable[str]) -> Hashes:
    digests = b"".join(
        blake2b((kind + text).encode("utf-8", "surrogatepass"), digest_size=8).digest()
        for text in texts
    )
    return np.frombuffer(digests, "<u8").astype(np.uint64)
