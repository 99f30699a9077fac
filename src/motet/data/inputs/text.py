"""A text per row, tokenised; batches are padded for a text encoder."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from motet.data import tokeniser_training, tokenising
from motet.data.inputs.base import Input, Rows
from motet.data.inputs.samples import Sample
from motet.data.inputs.shapes import TextSizes
from motet.data.notes import Finding, Notes
from motet.data.selection import column_of, require_columns
from motet.data.text_parts import TextParts
from motet.data.values import as_texts, described, is_list
from motet.options import (
    Chosen,
    Mapping,
    Place,
    PositiveInt,
    StrictBool,
    TwoOrMore,
    checked,
)
from motet.problems import InputError
from motet.settings.vocabulary_sizes import size_for
from motet.vocabularies import Vocabulary

_VOCABULARY, _MIN_COUNT = 10_000, 2
_WORD = re.compile(r"\S+")
_EMPTY = Finding("have no text")


@dataclass
class _Seen:
    """What was observed of the training rows."""

    sample: Sample = field(default_factory=Sample)
    rows: int = 0
    any_word: bool = False


class WordPlaces(NamedTuple):
    """Where the words of N texts are."""

    lines: list[str]
    """The texts; words that were given as a list are joined by spaces."""
    counts: NDArray[np.int64]
    """Number of words of each text, (N,)."""
    starts: list[list[int]]
    """For each text, the position of every word's first character."""
    ends: list[list[int]]
    """The position after every word's last character."""


@final
class Text(Input):
    """A text per row, or a pair of texts, as tokens.

    A column holds texts, or lists of words, whose tokens then stay with their words, so that words
    can be labelled. A missing text is an empty one. Numbers are converted to text. No tokenizer is
    trained or applied where the encoder reads no tokens, as a bag of n-grams.

    Args:
        name: The input's name.
        column: Column to read; the input's name if left out.
        columns: Two columns to read instead, such as title and text, as a pair of texts.
        split: spaces: the words of a text are separated by white space, and read as a list of
            words.
        tokenizer: How texts become tokens. Trained on the training rows: words, every frequent word
            is a token; wordpiece, rare words consist of several; bpe, the same with no word ever
            unknown. Or the path of a tokenizer.json, or of a folder that holds one.
        vocabulary: Maximum number of tokens of a tokenizer that is trained; 10,000 if left out;
            auto, by the number of words in the training rows.
        min_count: Number of times that a word, or two word pieces in sequence, must occur in the
            training rows to become a token; 2 if left out.
        lowercase: Whether texts are converted to lower case; true if left out.
        max_length: Maximum number of tokens of a text, or of words if the encoder reads no tokens;
            longer texts are truncated, and counted.
        encoder: Encoder of the text.

    Raises:
        InputError: If an option is unknown, wrong, or not used.

    Example:
        >>> review = Text("review", tokenizer="words", min_count=1)
        >>> review.observe(pa.table({"review": ["Good shoes", "good"]}))
        >>> review.finish()
        >>> review.apply(pa.table({"review": ["good boots", None]}))[0]["ids"][0:2]
        tensor([[2, 5, 1],
                [2, 0, 0]])
    """

    @checked
    def __init__(
        self,
        name: str,
        *,
        column: str | None = None,
        columns: tuple[str, str] | None = None,
        split: Literal["spaces"] | None = None,
        tokenizer: Annotated[
            str, Place(names=("words", "wordpiece", "bpe", "saved"), saved="saved")
        ]
        | tokenising.Tokenizer = "wordpiece",
        vocabulary: PositiveInt | Literal["auto"] | None = None,
        min_count: PositiveInt | None = None,
        lowercase: StrictBool | None = None,
        max_length: TwoOrMore = 256,
        encoder: Annotated[Mapping[str, Any] | str, Chosen("encoder", default="lstm")] = "lstm",
    ) -> None:
        if columns is not None and (column is not None or split is not None):
            other = "column" if column is not None else "split"
            raise InputError(
                f"found {other} too, expected one of them: columns are a pair of texts",
                option="columns",
                owner=f"input {name!r}",
            )
        training = {"vocabulary": vocabulary, "min_count": min_count, "lowercase": lowercase}
        for option, value in training.items():
            if tokenizer not in tokenising.KINDS and value is not None:
                raise InputError(
                    f"applies to a tokenizer that is trained, found tokenizer: {tokenizer!r}; "
                    f"remove {option}, or set tokenizer: wordpiece",
                    option=option,
                    owner=f"input {name!r}",
                )
        self._parts = TextParts.of(encoder, lowercase=lowercase is not False)
        del training["lowercase"]  # n-grams have it, too
        given = [option for option, value in training.items() if value is not None]
        if tokenizer != "wordpiece":
            given.insert(0, "tokenizer")
        if given and not self._parts.tokens:
            raise InputError(
                "makes tokens, which the encoder of the input does not read; remove it, or set "
                "encoder: bag+lstm to read both",
                option=given[0],
                owner=f"input {name!r}",
            )
        self.name = name
        self._columns: tuple[str, ...] = columns or (column or name,)
        self._kind = tokenizer
        self._vocabulary = None if vocabulary == "auto" else vocabulary
        self._by_words = vocabulary == "auto"
        self._min_count = min_count or _MIN_COUNT
        self._lowercase = lowercase is not False
        self._max_length = max_length
        self._words = split is not None
        self._tokenizer: tokenising.Tokenizer | None = None
        self._seen = _Seen()

    def columns(self, available: Sequence[str]) -> tuple[str, ...]:
        return self._columns

    def observe(self, rows: Rows) -> None:
        require_columns(rows, self._columns, f"input {self.name!r}")
        kind = rows[self._columns[0]].type
        self._words = self._words or (is_list(kind) and len(self._columns) == 1)
        texts, seen = self._texts(rows), self._seen
        seen.any_word |= any(map(str.strip, tokeniser_training.lines(texts)))
        if self._kind in tokenising.KINDS and self._parts.tokens:
            given = np.fromiter(texts, object, len(texts))
            seen.sample.add(given, seen.rows + np.arange(len(texts)))
        seen.rows += len(texts)

    def finish(self) -> None:
        seen, self._seen = self._seen, _Seen()
        if not seen.any_word:
            raise InputError(
                f"{self._where(self._columns[0])} has no word in the {seen.rows:,} training rows; "
                "remove it"
            )
        if not self._parts.tokens:
            return
        texts = list(tokeniser_training.lines(seen.sample.values())) if seen.sample.added else []
        if self._by_words:
            self._vocabulary = self._fitting(texts, seen.rows)
        self._tokenizer = self._made(texts)
        self.notes = seen.sample.notes(f"input {self.name!r}")

    def apply(self, rows: Rows) -> tuple[dict[str, Any], Notes]:
        """Turn rows into tokens, each text with its own length.

        Returns:
            The rows of `motet.data.ragged.Ragged` tensors: "ids"; of pairs also "segments"; of
            words also "words"; and what the encoder asks for, see `motet.data.text_parts`. Without
            the first three if it reads no tokens.
        """
        texts = self._texts(rows)
        tree, found_in = (
            ({}, {}) if self._tokenizer is None else self._tokens(texts, self._tokenizer)
        )
        if self._parts.grams is not None:
            grams, numbers, cut = self._parts.grams.of(texts, self._max_length)
            tree["grams"] = _ragged(grams, numbers)
            found_in = found_in or {self._too_long: cut, _EMPTY: int((numbers == 0).sum())}
        return tree, Notes(len(rows), found_in, self._remarks(rows))

    def _tokens(
        self, texts: Sequence[Any], tokenizer: tokenising.Tokenizer
    ) -> tuple[dict[str, Any], dict[Finding, int]]:
        """Return what texts consist of but for n-grams, and how many are truncated or empty."""
        found = tokenizer.encode(texts, self._max_length, letters=self._parts.letters)
        bare = self._empty_length(tokenizer)
        tokens = {"ids": _ragged(found.ids, found.lengths)}
        if len(self._columns) > 1:
            tokens["segments"] = _ragged(found.segments, found.lengths)
        if self._words:
            counts = np.fromiter(map(len, texts), np.int64, len(texts))
            tokens["words"] = _ragged(found.words, counts, fill=-1)
        if found.letters is not None:
            tokens["characters"] = _ragged(found.letters, found.lengths)
        return tokens, {self._too_long: found.cut, _EMPTY: int((found.lengths <= bare).sum())}

    def word_places(self, table: Rows) -> WordPlaces:
        """Return where the words of rows are, if tokens are grouped into words."""
        (column,) = self._columns
        if is_list(table[column].type):
            rows = self._texts(table)
            lines = [" ".join(row) for row in rows]
            ends = [np.cumsum([len(word) + 1 for word in row], dtype=np.int64) - 1 for row in rows]
            starts = [
                (end - [len(word) for word in row]).tolist()
                for row, end in zip(rows, ends, strict=True)
            ]
            counts = np.array([len(row) for row in rows], np.int64)
            return WordPlaces(lines, counts, starts, [end.tolist() for end in ends])
        lines = self._read(table, column)
        found = [[word.span() for word in _WORD.finditer(line)] for line in lines]
        counts = np.array([len(row) for row in found], np.int64)
        starts = [[start for start, _ in row] for row in found]
        return WordPlaces(lines, counts, starts, [[end for _, end in row] for row in found])

    @property
    def tokenizer(self) -> tokenising.Tokenizer | None:
        """The tokenizer, once fitted; None if the encoder reads no tokens."""
        return self._tokenizer

    def shape(self) -> TextSizes:
        if self._tokenizer is None:
            return self._sizes(0, 0, None)
        size = max(self._vocabulary or 0, self._tokenizer.size)
        tokens = self._tokenizer.vocabulary(size)
        return self._sizes(size, self._empty_length(self._tokenizer), tokens)

    def declared(self) -> TextSizes:
        if not self._parts.tokens:
            return self.shape()
        if self._kind not in tokenising.KINDS:
            found = self._made(())
            return self._sizes(found.size, self._empty_length(found), found.vocabulary(found.size))
        if self._vocabulary is None:
            raise InputError(
                "the number of tokens is unknown without data; give it, for example vocabulary: "
                f"{_VOCABULARY}",
                option="vocabulary",
                owner=f"input {self.name!r}",
            )
        tokens = tokeniser_training.vocabulary(self._vocabulary)
        empty = len(self._columns)  # [CLS], and [SEP] between the texts of a pair
        return self._sizes(self._vocabulary, empty, tokens)

    def state(self) -> dict[str, Any]:
        return {
            "columns": list(self._columns),
            "words": self._words,
            "vocabulary": self._vocabulary,
            "max_length": self._max_length,
            "tokenizer": None if self._tokenizer is None else self._tokenizer.to_json(),
            "parts": self._parts.state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        self._columns, self._words = tuple(state["columns"]), state["words"]
        self._vocabulary, self._max_length = state["vocabulary"], state["max_length"]
        given = state["tokenizer"]
        self._tokenizer = None if given is None else tokenising.from_json(given)
        self._parts = TextParts.from_state(state.get("parts", {}))  # older models have none

    def _fitting(self, texts: Sequence[str], rows: int) -> int:
        """Return the number of tokens that fits the training rows, of which these are a sample."""
        lines = max(len(texts), 1) / len(self._columns)
        words = [word for text in texts for word in _WORD.findall(text.lower())]
        count = round(len(words) * max(rows / lines, 1))
        return size_for(str(self._kind), count, len({*words}))

    def _made(self, texts: Sequence[str]) -> tokenising.Tokenizer:
        if self._kind == "saved":
            raise InputError(
                "found 'saved', which means that of a model folder; give a path, or one of "
                f"{', '.join(tokenising.KINDS)}",
                option="tokenizer",
            )
        if isinstance(self._kind, tokenising.Tokenizer):
            return self._kind
        if self._kind not in tokenising.KINDS:
            return tokenising.read(self._kind)
        return tokeniser_training.train(
            self._kind,
            texts,
            vocabulary=self._vocabulary or _VOCABULARY,
            min_count=self._min_count,
            lowercase=self._lowercase,
        )

    # Reading -------------------------------------------------------------------------------------

    def _texts(self, rows: Rows) -> list[Any]:
        """Return texts, lists of words, or pairs of texts."""
        require_columns(rows, self._columns, f"input {self.name!r}")
        columns = [self._read(rows, name) for name in self._columns]
        if len(columns) > 1:
            return list(zip(*columns, strict=True))
        if self._words and not is_list(rows[self._columns[0]].type):
            return [_WORD.findall(text) for text in columns[0]]
        return columns[0]

    def _read(self, rows: Rows, name: str) -> list[Any]:
        where = self._where(name)
        found = column_of(rows, name, f"input {self.name!r}")
        if is_list(found.type):
            inner = found.type.value_type
            if not (self._words and (pa.types.is_string(inner) or pa.types.is_null(inner))):
                expected = "texts or lists of words" if self._words else "texts"
                raise InputError(f"{where} holds {described(found.type)}, expected {expected}")
            return [[word or "" for word in row or ()] for row in found.to_pylist()]
        texts = pc.fill_null(as_texts(found, where), "")
        return list(texts.to_pylist())

    def _remarks(self, rows: Rows) -> tuple[str, ...]:
        return tuple(
            f"column {name!r} holds no texts, its values are converted to text"
            for name in self._columns
            if not _holds_texts(rows[name].type)
        )

    @property
    def _too_long(self) -> Finding:
        what = "tokens" if self._parts.tokens else "words"
        return Finding(
            f"have more than {self._max_length} {what}, the rest is cut off (max_length)"
        )

    def _sizes(self, size: int, empty: int, tokens: Vocabulary | None) -> TextSizes:
        return TextSizes(size, len(self._columns), self._words, tokens, empty)

    def _empty_length(self, tokenizer: tokenising.Tokenizer) -> int:
        """Return the number of tokens of a text without words."""
        return int(tokenizer.encode([self._nothing], self._max_length).lengths[0])

    @property
    def _nothing(self) -> tokenising.Given:
        """A row without a text."""
        if len(self._columns) > 1:
            return ("", "")
        return [] if self._words else ""

    def _where(self, column: str) -> str:
        return f"column {column!r}"


def _holds_texts(kind: pa.DataType) -> bool:
    return bool(is_list(kind) or pa.types.is_string(kind) or pa.types.is_null(kind))


def _ragged(values: NDArray[Any], lengths: NDArray[np.int64], fill: int = 0) -> Any:
    from torch import from_numpy  # here, as checking a config needs no torch

    from motet.data.ragged import Ragged

    return Ragged(from_numpy(values), from_numpy(lengths), fill=fill)
