"""Tokenisers trained on texts: words, word pieces, or byte pairs.

Training on the same texts, in any order, gives exactly the same tokeniser.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from motet.data import tokenising
from motet.data.tokenising import SPECIAL
from motet.problems import InputError
from motet.vocabularies import Vocabulary

_CHUNK = 10_000
"""Number of texts whose letters are counted at a time."""
_LONGEST = 100
"""Maximum length of words to train on; wordpiece reads longer ones as unknown, too."""
_ENDLESS = re.compile(rf"\S{{{_LONGEST + 1}}}")
_LEAST = 300
"""Minimum vocabulary of byte-level BPE: 256 bytes and the special tokens."""


def train(
    kind: str,
    texts: Sequence[str],
    *,
    vocabulary: int = 10_000,
    min_count: int = 2,
    lowercase: bool = True,
) -> tokenising.Tokenizer:
    """Train a tokeniser.

    Texts are split at white space and around punctuation. Every text begins with ``[CLS]``; the
    texts of a pair are separated by ``[SEP]``. A text that spells one of them is read letter by
    letter.

    Args:
        kind: words: every word is a token, and others are ``[UNK]``; wordpiece: words consist of
            pieces; bpe: words consist of pieces of their UTF-8, so that none is unknown.
        texts: Texts to train on.
        vocabulary: Maximum number of tokens.
        min_count: Number of times that a word, or two pieces in sequence, must occur to become a
            token.
        lowercase: Whether texts are converted to lower case.

    Returns:
        The tokeniser.

    Raises:
        InputError: If ``tokenizers`` is not installed, the vocabulary is too small, or no word
            occurs often enough.
    """
    library = tokenising.library()
    inner = library.Tokenizer(_model(library, kind))
    # keeps accents, which BERT strips with lower case: "schon" is not "schön"
    inner.normalizer = library.normalizers.BertNormalizer(lowercase=lowercase, strip_accents=False)
    before = library.pre_tokenizers.BertPreTokenizer()
    if kind == "bpe":
        spelt = library.pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False)
        before = library.pre_tokenizers.Sequence([before, spelt])
    inner.pre_tokenizer = before
    least = len(SPECIAL) + 1 if kind == "words" else _LEAST
    if vocabulary < least:
        fewer = "" if kind == "words" else "; tokenizer: words supports fewer"
        raise InputError(
            f"found {vocabulary}, expected at least {least} for {kind}{fewer}", option="vocabulary"
        )
    trainer = _trainer(library, kind, inner, texts, vocabulary, min_count)
    inner.train_from_iterator(_without_endless_words(library, texts), trainer, length=len(texts))
    if inner.get_vocab_size() <= len(SPECIAL):
        raise InputError(
            f"found {min_count}, but no word occurs that often in {len(texts):,} texts; give more "
            "texts, or min_count: 1",
            option="min_count",
        )
    separator, begin = (inner.token_to_id(token) for token in ("[SEP]", "[CLS]"))
    inner.post_processor = library.processors.TemplateProcessing(
        single="[CLS] $A",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1",
        special_tokens=[("[CLS]", begin), ("[SEP]", separator)],
    )
    return tokenising.from_json(tokenising.without_specials(inner.to_str()))


def vocabulary(size: int) -> Vocabulary:
    """Return what the tokens of a tokeniser mean that will be trained."""
    pad, unknown, *others, mask = range(len(SPECIAL))
    return Vocabulary(size, (pad, *others, mask), mask, unknown)


def lines(texts: Iterable[tokenising.Given]) -> Iterator[str]:
    """Yield texts to train on: words joined again, the texts of pairs one after the other."""
    for each in texts:
        if isinstance(each, tuple):
            yield from each
        else:
            yield each if isinstance(each, str) else " ".join(each)


def _model(library: Any, kind: str) -> Any:
    if kind == "words":
        return library.models.WordLevel(unk_token="[UNK]")
    return library.models.BPE() if kind == "bpe" else library.models.WordPiece(unk_token="[UNK]")


def _trainer(
    library: Any, kind: str, inner: Any, texts: Sequence[str], vocabulary: int, min_count: int
) -> Any:
    options = {"vocab_size": vocabulary, "min_frequency": min_count, "show_progress": False}
    if kind == "words":
        return library.trainers.WordLevelTrainer(special_tokens=list(SPECIAL), **options)
    if kind == "bpe":
        alphabet = library.pre_tokenizers.ByteLevel.alphabet()
        return library.trainers.BpeTrainer(
            special_tokens=list(SPECIAL), initial_alphabet=sorted(alphabet), **options
        )
    letters = _letters(inner, texts, (vocabulary - len(SPECIAL)) // 4)
    # the library would number "##a", "##b", ... in random order
    return library.trainers.WordPieceTrainer(
        special_tokens=[*SPECIAL, *(f"##{letter}" for letter in letters)],
        initial_alphabet=letters,
        limit_alphabet=len(letters),
        **options,
    )


def _letters(inner: Any, texts: Sequence[str], most: int) -> list[str]:
    counts: Counter[str] = Counter()
    lines = iter(texts)
    while chunk := list(islice(lines, _CHUNK)):
        counts.update(inner.normalizer.normalize_str("\n".join(chunk)))
    often = sorted(counts, key=lambda letter: (-counts[letter], letter))
    return sorted([letter for letter in often if not letter.isspace()][:most])


def _without_endless_words(library: Any, texts: Sequence[str]) -> Iterator[str]:
    """Drop what is not a word, such as encoded files: n letters may take n² steps."""
    cut = library.pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    for text in texts:
        if _ENDLESS.search(text):
            yield " ".join(word for word, _ in cut(text) if len(word) <= _LONGEST)
        else:
            yield text
