"""Labels that are texts, which a task generates."""

from collections.abc import Collection, Mapping
from typing import Any, Self, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from motet.data import output_tokenisers, tokenising
from motet.data.inputs.base import Input
from motet.data.selection import require_columns
from motet.data.targets.base import NO_INPUTS, Target
from motet.data.targets.classes import MISSING
from motet.data.values import as_texts, described, is_list
from motet.problems import InputError, shown

_VOCABULARY = 2_000
_LONGEST = 256
"""Tokens of a text up to which those of the training labels decide on the maximum."""
_ENDLESS = 1 << 31
"""Tokens up to which texts are read to learn from them."""
_END, _UNKNOWN = 0, 1


@final
class TextTarget(Target):
    """Tokens (N, L), int32: each text, a 0 at its end, -100 after it; -100 alone without a label.

    A text of more than ``max_length`` tokens has its first ``max_length + 1`` and no end: it is
    learned as far as it can be generated, and no generated text is equal to it. White space at both
    ends is left out. Predictions are ``<task>``, the texts.

    Args:
        name: The task's name.
        column: Column to read; the task's name if left out.
        tokenizer: Kind of tokeniser to train on the training labels; see
            `motet.data.output_tokenisers`.
        vocabulary_size: Maximum number of tokens; 2,000 if left out.
        max_length: Tokens of the longest text; that of the training labels if left out, at most
            256.

    Example:
        >>> date = TextTarget("date", tokenizer="characters")
        >>> date.fit(pa.table({"date": ["03.05", None, "3.5"]}))
        >>> date.encode(pa.table({"date": ["5.3", None]}))
        array([[   5,    2,    4,    0],
               [-100, -100, -100, -100]], dtype=int32)
        >>> date.predictions(np.array([[5, 2, 4], [-100, -100, -100]]))["date"].to_pylist()
        ['5.3', '']
    """

    def __init__(
        self,
        name: str,
        *,
        column: str | None = None,
        tokenizer: output_tokenisers.Kind = "bpe",
        vocabulary_size: int | None = None,
        max_length: int | None = None,
    ) -> None:
        super().__init__(name, column=column)
        self._kind, self._vocabulary = tokenizer, vocabulary_size or _VOCABULARY
        self._max_length = max_length or 0
        self._tokenizer: tokenising.Tokenizer | None = None

    @classmethod
    def for_task(cls, name: str, options: Mapping[str, Any], accepted: Collection[str]) -> Self:
        known = ("column", "tokenizer", "vocabulary_size", "max_length")
        taken = {option: options[option] for option in known if options.get(option) is not None}
        return cls(name, **taken)

    @property
    def summary(self) -> str:
        return f"texts of {self.tokenizer.size:,} tokens"

    @property
    def tokenizer(self) -> tokenising.Tokenizer:
        """The tokeniser that was trained."""
        assert self._tokenizer is not None
        return self._tokenizer

    def fit(self, table: pa.Table, inputs: Mapping[str, Input] = NO_INPUTS) -> None:
        texts = [text for text in self._texts(table) if text is not None]
        if not texts:
            raise InputError(
                f"{self._where} has no text in the {len(table):,} training rows; check it, or "
                "remove the task"
            )
        if len(set(texts)) == 1:
            raise InputError(
                f"{self._where} has {shown(texts[0])} in every row that has a text, expected texts "
                "that differ; check it, or remove the task"
            )
        self._tokenizer = output_tokenisers.train(self._kind, texts, self._vocabulary)
        found = self._tokenizer.encode(texts, _ENDLESS)
        if not self._max_length:
            self._max_length = max(1, min(int(found.lengths.max()), _LONGEST))
        self.notes = tuple(self._seen(found))

    def encode(self, table: pa.Table, inputs: Mapping[str, Input] = NO_INPUTS) -> NDArray[Any]:
        texts = self._texts(table)
        rows = np.flatnonzero([text is not None for text in texts])
        known = [text for text in texts if text is not None]
        found = self.tokenizer.encode(known, self._max_length + 1)
        width = int(max(1, (found.lengths + 1).clip(max=self._max_length + 1).max(initial=1)))
        encoded = np.full((len(texts), width), MISSING, np.int32)
        places = np.arange(width)
        own = np.full((len(rows), width), MISSING, np.int32)
        own[places < found.lengths[:, None]] = found.ids
        own[places == found.lengths[:, None]] = _END
        encoded[rows] = own
        return encoded

    def predictions(
        self,
        value: NDArray[Any],
        probabilities: NDArray[Any] | None = None,
        table: pa.Table | None = None,
        inputs: Mapping[str, Input] = NO_INPUTS,
    ) -> dict[str, pa.Array]:
        texts = self.tokenizer.decode([row[row >= 0].tolist() for row in value])
        return {self.name: pa.array(texts, pa.string())}

    def learned(self) -> dict[str, Any]:
        return {"vocabulary_size": self.tokenizer.size, "max_length": self._max_length}

    def state(self) -> dict[str, Any]:
        return {
            "column": self.column,
            "max_length": self._max_length,
            "tokenizer": self.tokenizer.to_json(),
        }

    def load(self, state: dict[str, Any]) -> None:
        self.column, self._max_length = state["column"], state["max_length"]
        self._tokenizer = tokenising.from_json(state["tokenizer"])

    def _texts(self, table: pa.Table) -> list[str | None]:
        require_columns(table, [self.column], f"task {self.name!r}")
        column = table[self.column]
        if is_list(column.type):
            raise InputError(
                f"{self._where} holds {described(column.type)}, expected texts; lists of "
                "labels are for multi_label, a list with a label per word for sequence_labelling"
            )
        texts = as_texts(column, self._where)
        found: list[str | None] = pc.utf8_trim_whitespace(texts).to_pylist()
        return found

    def _seen(self, found: tokenising.Encoded) -> list[str]:
        what, count = f"task {self.name!r}: ", len(found.lengths)
        notes = []
        longer = int((found.lengths > self._max_length).sum())
        if longer:
            notes.append(
                f"{what}{longer:,} of {count:,} labelled training rows have more than "
                f"{self._max_length} tokens, which is the longest text that is generated "
                "(max_length)"
            )
        unknown = int((found.ids == _UNKNOWN).sum())
        if unknown:
            notes.append(
                f"{what}{unknown:,} of {len(found.ids):,} tokens of the training labels are not "
                f"among the {self.tokenizer.size:,} of the vocabulary, and are never generated "
                "(vocabulary_size, or tokenizer: bpe)"
            )
        return notes
