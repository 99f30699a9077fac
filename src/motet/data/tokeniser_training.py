"""Tokenisers learned from texts: words, word pieces, or byte pairs.

What was trained on the same texts, in whatever order, is the same to the last token.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from json import dumps, loads
from typing import Any

from motet.data import tokenising
from motet.problems import InputError

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

_CHUNK = 10_000
"""Texts whose letters are counted at a time."""
_LONGEST = 100
"""Letters of a word that is learned from; wordpiece reads longer ones as unknown, too."""
_ENDLESS = re.compile(rf"\S{{{_LONGEST + 1}}}")
_LEAST = 300
"""Tokens that byte-level BPE has room for at least: 256 bytes and the special ones."""


def train(
    kind: str,
    texts: Sequence[str],
    *,
    vocabulary: int = 10_000,
    min_count: int = 2,
    lowercase: bool = True,
) -> tokenising.Tokenizer:
    """Train a tokeniser.

    Texts are cut at white space and around punctuation. Every text begins with ``[CLS]``; the parts
    of a pair are parted by ``[SEP]``. A text that spells one of them is read letter by letter.

    Args:
        kind: words: every word is a token, and others are ``[UNK]``; wordpiece: words are made of
            parts; bpe: words are made of parts of their UTF-8, so that none is unknown.
        texts: Texts to learn from.
        vocabulary: Most tokens.
        min_count: How often a word, or two parts side by side, must occur to become a token.
        lowercase: Whether capital letters are read as small ones.

    Returns:
        The tokeniser.

    Raises:
        InputError: If ``tokenizers`` is not installed, the vocabulary is too small, or no word is
            there often enough.
    """
    library = tokenising.library()
    inner = library.Tokenizer(_model(library, kind))
    # no mark of Unicode is dropped, as BERT does with capital letters: "schon" is not "schön"
    inner.normalizer = library.normalizers.BertNormalizer(lowercase=lowercase, strip_accents=False)
    before = library.pre_tokenizers.BertPreTokenizer()
    if kind == "bpe":
        spelt = library.pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False)
        before = library.pre_tokenizers.Sequence([before, spelt])
    inner.pre_tokenizer = before
    least = len(SPECIAL) + 1 if kind == "words" else _LEAST
    if vocabulary < least:
        fewer = "" if kind == "words" else "; words can do with fewer"
        raise InputError(f"vocabulary is {vocabulary}, expected at least {least} for {kind}{fewer}")
    trainer = _trainer(library, kind, inner, texts, vocabulary, min_count)
    inner.train_from_iterator(_without_endless_words(library, texts), trainer, length=len(texts))
    if inner.get_vocab_size() <= len(SPECIAL):
        raise InputError(
            f"no word is there {min_count} times in {len(texts):,} texts; expected more texts, or "
            "min_count: 1"
        )
    separator, begin = (inner.token_to_id(token) for token in ("[SEP]", "[CLS]"))
    inner.post_processor = library.processors.TemplateProcessing(
        single="[CLS] $A",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1",
        special_tokens=[("[CLS]", begin), ("[SEP]", separator)],
    )
    return tokenising.from_json(_without_specials(inner.to_str()))


def lines(texts: Iterable[tokenising.Given]) -> Iterator[str]:
    """Yield texts to train on: words joined again, the parts of pairs one after the other."""
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
    # the library would number "##a", "##b", ... in an order of chance
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
    """Leave out what is no word, such as files spelt in letters: n letters may take n² steps."""
    cut = library.pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    for text in texts:
        if _ENDLESS.search(text):
            yield " ".join(word for word, _ in cut(text) if len(word) <= _LONGEST)
        else:
            yield text


def _without_specials(text: str) -> str:
    """Let no text spell a special token: "[PAD]" or "##a" in it are letters like any others."""
    content = loads(text)
    content["added_tokens"] = []
    return dumps(content, ensure_ascii=False)
