"""Tokenisers of texts that are generated: what they cut can be joined again.

Token 0 is not of the tokeniser: it ends a text. Token 1 is a piece that the vocabulary lacks.
"""

from collections.abc import Sequence
from typing import Literal

from motet.data import tokenising
from motet.problems import InputError

Kind = Literal["bpe", "words", "characters"]

KINDS = ("bpe", "words", "characters")

_UNKNOWN = "unknown token"
"""Has a space, so that no piece of a text is spelt like it."""
_LEAST = {"bpe": 259, "words": 3, "characters": 3}
"""Smallest vocabularies: the end, the unknown token, and 256 bytes and a piece, or a piece."""


def train(kind: Kind, texts: Sequence[str], vocabulary: int) -> tokenising.Tokenizer:
    """Train a tokeniser on texts; case and punctuation stay as they are.

    Args:
        kind: bpe: pieces of UTF-8, so that none is unknown; words: what white space separates,
            which becomes one space; characters.
        texts: Texts to train on.
        vocabulary: Maximum number of tokens, with the end and the unknown one; rare ones are left
            out.

    Returns:
        The tokeniser; the same for the same texts in any order.

    Raises:
        InputError: If ``tokenizers`` is not installed, or the vocabulary is too small.

    Example:
        >>> words = train("words", ["May 3", "May 4"], 9)
        >>> words.encode(["May 4 5"], 9).ids.tolist(), words.decode([[2, 4]])
        ([2, 4, 1], ['May 4'])
        >>> bpe = train("bpe", ["May 3", "May 4"], 300)
        >>> bpe.decode([bpe.encode(["Año  5"], 99).ids])
        ['Año  5']
    """
    if vocabulary < _LEAST[kind]:
        fewer = "" if kind != "bpe" else "; tokenizer: words or characters supports fewer"
        raise InputError(
            f"found {vocabulary}, expected at least {_LEAST[kind]} for {kind}{fewer}",
            option="vocabulary_size",
        )
    library = tokenising.library()
    pieces, joining = library.pre_tokenizers, library.decoders
    options = {"vocab_size": vocabulary - 1, "special_tokens": [_UNKNOWN], "show_progress": False}
    if kind == "bpe":
        inner = library.Tokenizer(library.models.BPE())
        inner.pre_tokenizer = pieces.ByteLevel(add_prefix_space=False)
        inner.decoder = joining.ByteLevel()
        alphabet = sorted(pieces.ByteLevel.alphabet())
        trainer = library.trainers.BpeTrainer(min_frequency=2, initial_alphabet=alphabet, **options)
    else:
        inner = library.Tokenizer(library.models.WordLevel(unk_token=_UNKNOWN))
        every = pieces.Split(library.Regex(r"[\s\S]"), "isolated")
        inner.pre_tokenizer = pieces.WhitespaceSplit() if kind == "words" else every
        if kind == "characters":
            inner.decoder = joining.Fuse()
        trainer = library.trainers.WordLevelTrainer(min_frequency=1, **options)
    inner.train_from_iterator(texts, trainer, length=len(texts))
    return tokenising.from_json(tokenising.without_specials(inner.to_str()))
