"""A text per row: cut into tokens, padded batch by batch, for an encoder of texts."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from motet.data import tokeniser_training, tokenising
from motet.data.inputs.base import Declared, Input, TextSizes
from motet.data.selection import require_columns
from motet.data.values import as_texts, described, is_list
from motet.options import Chosen, Mapping, Place, PositiveInt, StrictBool, TwoOrMore, checked
from motet.problems import InputError

_VOCABULARY, _MIN_COUNT = 10_000, 2
_WORD = re.compile(r"\S+")


class WordPlaces(NamedTuple):
    """Where the words of N texts are."""

    lines: list[str]
    """The texts; words that were given as a list are joined by spaces."""
    counts: NDArray[np.int64]
    """How many words each has, (N,)."""
    starts: list[list[int]]
    """For each text, the place of every word's first character."""
    ends: list[list[int]]
    """The place after every word's last character."""


@final
class Text(Input):
    """A text per row, or two, as tokens.

    A column holds texts, or lists of words, whose tokens then stay with their words, so that words
    can be labelled. A missing text is an empty one. Numbers are read as they are spelt.

    Args:
        name: The input's name.
        column: Column to read; the input's name if left out.
        columns: Two columns to read instead, such as title and text: the parts of a pair.
        split: spaces: a text is words parted by white space, as if a list of them were given.
        tokenizer: How texts become tokens. Trained on the training part: words, every frequent word
            is a token; wordpiece, rare words are made of several; bpe, the same with no word ever
            unknown. Or the path of a tokenizer.json, or of a folder that holds one.
        vocabulary: Most tokens of a tokenizer that is trained; 10,000 if left out.
        min_count: How often a word, or two of its parts together, must occur in the training part
            to become a token; 2 if left out.
        lowercase: Whether capital letters are read as small ones; true if left out.
        max_length: Most tokens of a text; the rest is cut off, and counted.
        encoder: Encoder of the tokens.

    Raises:
        InputError: If an option is unknown, wrong, or would be ignored.

    Example:
        >>> review = Text("review", tokenizer="words", min_count=1)
        >>> review.fit(pa.table({"review": ["Good shoes", "good"]}))
        >>> review.apply(pa.table({"review": ["good boots", None]}))["texts"]["ids"][0:2]
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
        vocabulary: PositiveInt | None = None,
        min_count: PositiveInt | None = None,
        lowercase: StrictBool | None = None,
        max_length: TwoOrMore = 256,
        encoder: Annotated[Mapping[str, Any] | str, Chosen("encoder", default="lstm")] = "lstm",
    ) -> None:
        if columns is not None and (column is not None or split is not None):
            other = "column" if column is not None else "split"
            raise InputError(
                f"input {name!r}: found {other} and columns, expected one of them: columns are the "
                "two parts of a pair of texts"
            )
        training = {"vocabulary": vocabulary, "min_count": min_count, "lowercase": lowercase}
        for option, value in training.items():
            if tokenizer not in tokenising.KINDS and value is not None:
                raise InputError(
                    f"input {name!r}: {option} is for a tokenizer that is trained, but tokenizer "
                    f"is {tokenizer!r}; remove {option}, or set tokenizer: wordpiece"
                )
        self.name = name
        self._columns: tuple[str, ...] = columns or (column or name,)
        self._kind = tokenizer
        self._vocabulary, self._min_count = vocabulary, min_count or _MIN_COUNT
        self._lowercase = lowercase is not False
        self._max_length = max_length
        self._words = split is not None
        self._tokenizer: tokenising.Tokenizer | None = None
        self._cut = self._empty = self._rows = 0
        self._numbers = False

    def columns(self, available: Sequence[str]) -> tuple[str, ...]:
        return self._columns

    def fit(self, table: pa.Table) -> None:
        require_columns(table, self._columns, f"input {self.name!r}")
        kind = table[self._columns[0]].type
        self._words = self._words or (is_list(kind) and len(self._columns) == 1)
        texts = list(tokeniser_training.lines(self._texts(table)))
        if not any(map(str.strip, texts)):
            raise InputError(
                f"{self._where(self._columns[0])} has no word in the {len(table):,} training rows; "
                "leave it out"
            )
        try:
            self._tokenizer = self._made(texts)
        except InputError as error:
            raise InputError(f"input {self.name!r}: {error}") from None

    def apply(self, table: pa.Table) -> dict[str, Any]:
        """Turn rows into tokens, each text with its own length.

        Returns:
            "texts", the rows of `motet.data.ragged.Ragged` tensors: "ids"; of pairs also
            "segments"; of words also "words".
        """
        from torch import from_numpy  # late: a config is held against its data without torch

        from motet.data.ragged import Ragged

        assert self._tokenizer is not None
        texts = self._texts(table)
        found = self._tokenizer.encode(texts, self._max_length)
        bare = self._tokenizer.encode([self._nothing], self._max_length).lengths
        self._cut, self._rows = found.cut, len(table)
        self._empty = int((found.lengths <= bare).sum())
        lengths = from_numpy(found.lengths)
        rows = {"ids": Ragged(from_numpy(found.ids), lengths, fill=0)}
        if len(self._columns) > 1:
            rows["segments"] = Ragged(from_numpy(found.segments), lengths, fill=0)
        if self._words:
            counts = np.fromiter(map(len, texts), np.int64, len(texts))
            rows["words"] = Ragged(from_numpy(found.words), from_numpy(counts), fill=-1)
        return {"texts": rows}

    def word_places(self, table: pa.Table) -> WordPlaces:
        """Tell where the words of rows are, if there are words."""
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
    def number_names(self) -> tuple[str, ...]:
        return ()

    @property
    def sizes(self) -> tuple[int, ...]:
        return ()

    @property
    def text(self) -> TextSizes:
        assert self._tokenizer is not None
        size = max(self._vocabulary or 0, self._tokenizer.size)
        return TextSizes(size, len(self._columns), self._words)

    def declared(self) -> Declared:
        if self._kind not in tokenising.KINDS:
            size = self._made(()).size
        elif self._vocabulary is None:
            raise InputError(
                f"input {self.name!r}: how many tokens there are is not known without data; give "
                f"vocabulary, for example vocabulary: {_VOCABULARY}"
            )
        else:
            size = self._vocabulary
        return Declared(text=TextSizes(size, len(self._columns), self._words))

    @property
    def notes(self) -> tuple[str, ...]:
        found, of = [], f"of {self._rows:,} rows have"
        if self._cut:
            found.append(
                f"input {self.name!r}: {self._cut:,} {of} more than {self._max_length} tokens, the "
                "rest is cut off (max_length)"
            )
        if self._empty:
            found.append(f"input {self.name!r}: {self._empty:,} {of} no text")
        if self._numbers:
            found.append(f"{self._where(self._columns[0])} holds no texts, values are spelt")
        return tuple(found)

    def state(self) -> dict[str, Any]:
        assert self._tokenizer is not None
        return {
            "columns": list(self._columns),
            "words": self._words,
            "vocabulary": self._vocabulary,
            "max_length": self._max_length,
            "tokenizer": self._tokenizer.to_json(),
        }

    def load(self, state: dict[str, Any]) -> None:
        self._columns, self._words = tuple(state["columns"]), state["words"]
        self._vocabulary, self._max_length = state["vocabulary"], state["max_length"]
        self._tokenizer = tokenising.from_json(state["tokenizer"])

    def _made(self, texts: Sequence[str]) -> tokenising.Tokenizer:
        if self._kind == "saved":
            raise InputError(
                "tokenizer is saved, which stands for that of a model folder; give a path, or "
                f"one of {', '.join(tokenising.KINDS)}"
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

    def _texts(self, table: pa.Table) -> list[Any]:
        """Return texts, lists of words, or pairs of texts."""
        require_columns(table, self._columns, f"input {self.name!r}")
        kind = table[self._columns[0]].type
        self._numbers = not any(
            is_a(kind) for is_a in (is_list, pa.types.is_string, pa.types.is_null)
        )
        parts = [self._read(table, column) for column in self._columns]
        if len(parts) > 1:
            return list(zip(*parts, strict=True))
        if self._words and not is_list(table[self._columns[0]].type):
            return [_WORD.findall(text) for text in parts[0]]
        return parts[0]

    @property
    def _nothing(self) -> tokenising.Given:
        """A row without a text."""
        if len(self._columns) > 1:
            return ("", "")
        return [] if self._words else ""

    def _read(self, table: pa.Table, column: str) -> list[Any]:
        found, where = table[column], self._where(column)
        if is_list(found.type):
            inner = found.type.value_type
            if not (self._words and (pa.types.is_string(inner) or pa.types.is_null(inner))):
                expected = "texts or lists of words" if self._words else "texts"
                raise InputError(f"{where} holds {described(found.type)}, expected {expected}")
            return [[word or "" for word in row or ()] for row in found.to_pylist()]
        texts = pc.fill_null(as_texts(found, where).cast(pa.string()), "")
        return list(texts.to_pylist())

    def _where(self, column: str) -> str:
        return f"input {self.name!r}: column {column!r}"
