"""Tokenisers, by the library ``tokenizers``, on all cores.

Token 0 is padding. The tokens of a loaded tokeniser whose token 0 is another one are shifted by
one. `motet.data.tokeniser_training` trains tokenisers.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from json import dumps, loads
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.data.letters import letters_of
from motet.extras import imported
from motet.live import report
from motet.problems import InputError, hint, reason
from motet.vocabularies import MASK_NAMES, UNKNOWN_NAMES, Vocabulary, named_token

Integers = NDArray[np.int64]
Words = list[str]
Given = str | Words | tuple[str, str]
"""A text, its words, or a pair of texts."""

KINDS = ("words", "wordpiece", "bpe")
"""Kinds of tokenisers that can be trained."""
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""The first tokens of tokenisers that are trained here."""
FILE = "tokenizer.json"

_CHUNK = 10_000
"""Number of texts that the library encodes at a time."""
_TRUNCATING = Lock()


@dataclass(frozen=True)
class Encoded:
    """Tokens of N texts, one text after the other."""

    ids: Integers
    """All tokens, (sum of lengths,)."""
    lengths: Integers
    """Number of tokens of each text, (N,)."""
    segments: Integers
    """Which text of a pair each token belongs to, (sum of lengths,)."""
    words: Integers
    """Of texts given as words, the position of each word's first token, text after text."""
    cut: int
    """Number of texts that were truncated."""
    letters: NDArray[np.uint8] | None = None
    """The letters of each token's word, (sum of lengths, K), if they were asked for."""


class Tokenizer:
    """A tokeniser; see `read`, `from_json` and `motet.data.tokeniser_training.train`.

    Args:
        inner: A `tokenizers.Tokenizer`.

    Example:
        >>> from motet.data.tokeniser_training import train
        >>> found = train("words", ["a cat", "a dog", "a cat"], vocabulary=100, min_count=1)
        >>> encoded = found.encode(["a cat", "dog", "a bird"], max_length=2)
        >>> found.size, encoded.lengths.tolist(), encoded.cut
        (8, [2, 2, 2], 2)
        >>> found.tokens(encoded.ids[:2])
        ['[CLS]', 'a']
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        inner.no_padding()
        inner.no_truncation()
        first = inner.id_to_token(0) or ""
        padding = first.strip("[]<>|").lower() in ("pad", "padding")
        self.shift = 0 if padding else 1
        """What is added to the numbers of tokens, so that 0 is padding."""
        self._spaced = _marks_spaces(inner)

    @property
    def size(self) -> int:
        """Number of tokens, including padding and unused numbers."""
        vocabulary: dict[str, int] = self._inner.get_vocab()
        return max(vocabulary.values(), default=-1) + 1 + self.shift

    def vocabulary(self, size: int) -> Vocabulary:
        """Return what the tokens mean.

        Args:
            size: Number of tokens that texts are read with, at least `size`.

        Returns:
            The vocabulary.
        """
        decoder = self._inner.get_added_tokens_decoder()
        named = {number: each.content for number, each in decoder.items() if each.special}
        if not named:  # those trained here forget theirs, so that texts cannot spell them
            found = {self._inner.token_to_id(token): token for token in SPECIAL}
            named = {number: token for number, token in found.items() if number is not None}
        tokens = {number + self.shift: token for number, token in named.items()}
        unknown = named_token(UNKNOWN_NAMES, tokens)
        return Vocabulary(
            size,
            special=tuple(sorted({0, *tokens} - {unknown})),
            mask=named_token(MASK_NAMES, tokens),
            unknown=unknown,
            used=self.size,
            marks_pairs=bool(self._encoded([("a", "a")]).segments.any()),
        )

    def tokens(self, ids: Iterable[int]) -> list[str]:
        """Spell tokens."""
        return [self._inner.id_to_token(int(each) - self.shift) or "" for each in ids]

    def decode(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """Join the tokens of each row into a text, as the tokeniser itself does."""
        shifted = [[int(each) - self.shift for each in row] for row in rows]
        texts: list[str] = self._inner.decode_batch(shifted, skip_special_tokens=False)
        return texts

    def encode(
        self, texts: Sequence[Given], max_length: int, *, letters: int | None = None
    ) -> Encoded:
        """Turn texts into tokens; what does not fit is truncated at the end.

        The longer text of a pair is truncated first. Words have the tokens that they have in a
        text, separated by spaces. Words that were truncated, or have no token, share the position
        of the word before.

        Args:
            texts: Texts, lists of words, or pairs of texts; all of one kind.
            max_length: Maximum number of tokens of a text, special ones included.
            letters: Number of letters to return of the word of each token, in its own case. Words
                are those given, or else what the tokeniser takes for words.

        Returns:
            The tokens of all texts.

        Raises:
            InputError: If ``max_length`` leaves no room besides the special tokens.
        """
        special = self._inner.num_special_tokens_to_add(bool(texts) and isinstance(texts[0], tuple))
        if max_length <= special:
            raise InputError(
                f"found {max_length}, but the tokenizer adds {special} special tokens to every "
                f"text; expected at least {special + 1}",
                option="max_length",
            )
        with _TRUNCATING:  # a setting of the library's object, which threads may share
            self._inner.enable_truncation(max_length)
            try:
                return self._encoded(texts, letters)
            finally:
                self._inner.no_truncation()

    def to_json(self) -> str:
        """Return the tokeniser as JSON."""
        text: str = self._inner.to_str()
        return text

    def _encoded(self, texts: Sequence[Given], letters: int | None = None) -> Encoded:
        as_words = bool(texts) and isinstance(texts[0], list)
        lengths: list[int] = []
        cut = 0
        ids, segments, words, spelt = [], [], [], []
        for start in range(0, len(texts), _CHUNK):
            report("tokenising texts", start, len(texts))
            chunk: Any = texts[start : start + _CHUNK]
            if as_words:
                given = [_spaced(row) for row in chunk] if self._spaced else chunk
                found = self._inner.encode_batch(given, is_pretokenized=True)
                places = (
                    _places(each.word_ids, len(row)) for each, row in zip(found, chunk, strict=True)
                )
                words.append(_flat(places))
            elif letters is None:
                found = self._inner.encode_batch_fast(chunk)
            else:  # slower, as it finds where tokens are
                found = self._inner.encode_batch(chunk)
            if letters is not None:
                read = map(_words_of_tokens, found, chunk)
                spelt.append(letters_of(list(chain.from_iterable(read)), letters))
            lengths += map(len, found)
            cut += sum(bool(each.overflowing) for each in found)
            ids.append(_flat(each.ids for each in found) + self.shift)
            # some models give special tokens another type, such as 2
            segments.append(_flat(each.type_ids for each in found).clip(max=1))
        return Encoded(
            _joined(ids),
            np.array(lengths, np.int64),
            _joined(segments),
            _joined(words),
            cut,
            None if letters is None else np.concatenate([letters_of([], letters), *spelt]),
        )


def _marks_spaces(inner: Any) -> bool:
    """Return whether tokens include the space before a word, which words of a list lack."""

    def tokens(given: str | Words) -> list[int]:
        is_words = isinstance(given, list)
        found: list[int] = inner.encode(
            given, is_pretokenized=is_words, add_special_tokens=False
        ).ids
        return found

    as_text = tokens("a a")
    return tokens(["a", "a"]) != as_text == tokens(_spaced(["a", "a"]))


def _spaced(words: Words) -> Words:
    return [*words[:1], *(word and f" {word}" for word in words[1:])]


def _places(word_of: Sequence[int | None], count: int) -> list[int]:
    first: dict[int, int] = {}
    for place, word in enumerate(word_of):
        if word is not None:
            first.setdefault(word, place)
    places, last = [], 0
    for word in range(count):
        last = first.get(word, last)
        places.append(last)
    return places


def _words_of_tokens(encoded: Any, given: Given) -> list[str]:
    """Return the word that each token is of, as it is spelt in the text; "" for special tokens."""
    if isinstance(given, list):
        return ["" if word is None else given[word] for word in encoded.word_ids]
    places = list(zip(encoded.sequence_ids, encoded.word_ids, strict=True))
    spans: dict[tuple[int, int], tuple[int, int]] = {}
    for place, (start, end) in zip(places, encoded.offsets, strict=True):
        first, last = spans.get(place, (start, end))
        spans[place] = min(first, start), max(last, end)
    texts = (given,) if isinstance(given, str) else given
    return [
        "" if place[1] is None else texts[place[0]][slice(*spans[place])].strip()
        for place in places
    ]


def _flat(rows: Iterable[Iterable[int]]) -> Integers:
    return np.fromiter(chain.from_iterable(rows), np.int64)


def _joined(parts: Sequence[Integers]) -> Integers:
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def read(path: str | Path) -> Tokenizer:
    """Read a tokeniser that was saved.

    Args:
        path: A tokenizer.json, or a folder that holds one, such as that of a Hugging Face model.

    Returns:
        The tokeniser.

    Raises:
        InputError: If there is no tokeniser, or ``tokenizers`` is not installed.
    """
    path = Path(path).expanduser()
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        if path.is_dir():
            there = ", ".join(sorted(each.name for each in path.iterdir())[:10]) or "nothing"
            raise InputError(
                f"the folder {path} has no {FILE} (it has {there}); {_SAVE}", option="tokenizer"
            )
        near = "" if len(path.parts) > 1 else f"{hint(str(path), KINDS)}; "
        raise InputError(f"there is no tokenizer {str(path)!r}; {near}{_SAVE}", option="tokenizer")
    try:
        return from_json(file.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, OSError) as error:
        raise InputError(
            f"{file} cannot be read ({reason(error)}); {_SAVE}", option="tokenizer"
        ) from None
    except InputError as error:
        raise InputError(f"{file}: {error}", option="tokenizer") from None


_SAVE = (
    f"expected {', '.join(KINDS)}, or the path of a {FILE} or of a folder that holds one, as "
    "save_pretrained of a fast Hugging Face tokenizer writes it"
)


def from_json(text: str) -> Tokenizer:
    """Return the tokeniser that `Tokenizer.to_json` wrote.

    Raises:
        InputError: If the text is not a tokeniser, or ``tokenizers`` is not installed.
    """
    found = library()
    try:
        return Tokenizer(found.Tokenizer.from_str(text))
    except Exception as error:  # the library has no type for this
        raise InputError(f"it is not a tokenizer of the library tokenizers ({error})") from None


def without_specials(text: str) -> str:
    """Stop texts from spelling a special token: "[PAD]" or "##a" in them are plain letters."""
    content = loads(text)
    content["added_tokens"] = []
    return dumps(content, ensure_ascii=False)


def library() -> Any:
    """Import the library ``tokenizers``.

    Returns:
        Its module.

    Raises:
        InputError: If it is not installed.
    """
    return imported("tokenizers", "texts need")
