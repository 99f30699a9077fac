"""Labels that are a list of tags per row, one for each word."""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, Self, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from motet.data.inputs.base import Input
from motet.data.inputs.text import Text, WordPlaces
from motet.data.selection import listed
from motet.data.targets.base import NO_INPUTS, Target
from motet.data.targets.classes import MISSING, count_places
from motet.data.targets.word_lists import (
    check_lengths,
    labelled_text,
    lengths_of,
    lists_of,
    padded,
    read_lists,
)
from motet.data.values import as_texts, described, is_list, rows_of_values
from motet.data.word_labels import labelled_words
from motet.problems import InputError, hint, shown
from motet.tags import Scheme, Spans, TagSet, find_scheme, from_iob1, is_iob1

MOST_TAGS = 1000


@final
class TagTarget(Target):
    """Places of tags (N, L), int32, -100 for words without one and after the last word of a row.

    A column holds lists of texts or of whole numbers, or texts of tags separated by spaces, as in
    CSV files (see `motet.data.list_texts`). A row that is null is not labelled; an entry that is
    null is a word without a label. Tags in IOB1 are converted to BIO, unless ``scheme`` is given.
    Predictions are ``<task>``, a list of tags in their own type, and, where tags spell spans,
    ``<task>_spans``, a list of ``{type, start, end}`` with the places of the first word and of the
    word after the last; where the texts are known also ``text``, ``char_start`` and ``char_end``.

    Args:
        name: The task's name.
        column: Column to read; the task's name if left out.
        classes: The tags in order, or how many there are; those found in training, sorted, if left
            out. Whole numbers with a count C are the tags 0 to C - 1.
        scheme: How tags spell spans; found from the tags if left out.
        input: Name of the text whose words are labelled; the one that has words if left out.

    Example:
        >>> slots = TagTarget("slots")
        >>> slots.fit(pa.table({"slots": [["O", "B-city"], None, ["B-city", "I-city", "O"]]}))
        >>> slots.names, slots.tags.scheme
        (('B-city', 'I-city', 'O'), 'bio')
        >>> slots.encode(pa.table({"slots": ["O B-city", "B-citty"]}))
        array([[   2,    0],
               [-100, -100]], dtype=int32)
        >>> slots.predictions(np.array([[2, 0, 1]]))["slots_spans"].to_pylist()
        [[{'type': 'city', 'start': 1, 'end': 3}]]
    """

    reads_inputs = True

    def __init__(
        self,
        name: str,
        *,
        column: str | None = None,
        classes: int | Sequence[Any] | None = None,
        scheme: Scheme | None = None,
        input: str | None = None,
    ) -> None:
        super().__init__(name, column=column)
        self.input = input
        self._given, self._scheme = classes, scheme
        self._iob1 = False
        self._kind: Literal["text", "integer"] = "text"
        self.tags = TagSet(())

    @classmethod
    def for_task(cls, name: str, options: Mapping[str, Any], accepted: Collection[str]) -> Self:
        taken = {option: options.get(option) for option in ("column", "classes", "scheme", "input")}
        return cls(name, **taken)

    @classmethod
    def labelled_text(cls, table: pa.Table, column: str) -> str | None:
        return labelled_words(table, column) if pa.types.is_string(table[column].type) else None

    @property
    def names(self) -> tuple[str, ...]:
        """How the tags are spelt, in order."""
        return self.tags.names

    def fit(self, table: pa.Table, inputs: Mapping[str, Input] = NO_INPUTS) -> None:
        self._text(inputs)  # an error if there are no words to label
        lists = self._lists(table)
        found = self._spelt(lists).drop_null().unique().to_pylist()
        if self._scheme is None and find_scheme(found) == "bio" and is_iob1(lists.to_pylist()):
            self._iob1 = True
            lists = self._lists(table)
            found = self._spelt(lists).unique().drop_null().to_pylist()
        if not found:
            raise InputError(
                f"{self._where} has no tag in the {len(table):,} training rows; check it, or "
                "remove the task"
            )
        self._kind = "integer" if pa.types.is_integer(lists.type.value_type) else "text"
        names = self._chosen(found)
        self._check(names, found)
        self.tags = TagSet(names, self._scheme, self._where)
        self.notes = tuple(self._seen(table))

    def encode(self, table: pa.Table, inputs: Mapping[str, Input] = NO_INPUTS) -> NDArray[Any]:
        lists = self._lists(table)
        text = self._text(inputs)
        if text is not None:
            check_lengths(self.lengths(table), table, text, self._where, "tag")
        tags = self._spelt(lists)
        places = pc.fill_null(pc.index_in(tags, pa.array(self.names, pa.string())), MISSING)
        return padded(places.to_numpy(), lengths_of(lists), MISSING, np.int32)

    def unseen(self, table: pa.Table) -> dict[Any, int]:
        strange = self._strange(table)
        return {each["values"]: each["counts"] for each in strange.value_counts().to_pylist()}

    def first_row(self, table: pa.Table, label: Any) -> int | None:
        lists = self._lists(table)
        place = pc.index(self._spelt(lists), label).as_py()
        return None if place < 0 else int(rows_of_values(lists)[place])

    def predictions(
        self,
        value: NDArray[Any],
        probabilities: NDArray[Any] | None = None,
        table: pa.Table | None = None,
        inputs: Mapping[str, Input] = NO_INPUTS,
    ) -> dict[str, pa.Array]:
        there = value >= 0
        tags = pa.array(self.names, pa.string()).take(pa.array(value[there]))
        tags = tags.cast(pa.int64()) if self._kind == "integer" else tags
        columns = {self.name: lists_of(there.sum(axis=1), tags)}
        if not self.tags.has_spans:
            return columns
        spans, text = self.tags.spans(value), self._text(inputs)
        more = {} if text is None or table is None else _placed(spans, text.word_places(table))
        return columns | {self._spans: self._span_column(spans, len(value), more)}

    def more_columns(self) -> list[str]:
        return [self._spans] if self.tags.has_spans else []

    def lengths(self, table: pa.Table) -> NDArray[np.int64]:
        """Return how many words each row has tags for, (N,), -1 where it is not labelled."""
        return lengths_of(self._lists(table))

    def learned(self) -> dict[str, Any]:
        return {"classes": self.names}

    def class_counts(self, encoded: NDArray[Any]) -> list[int]:
        return count_places(encoded, len(self.names))

    def state(self) -> dict[str, Any]:
        return {
            "column": self.column,
            "kind": self._kind,
            "tags": list(self.names),
            "scheme": self.tags.scheme,
            "input": self.input,
            "iob1": self._iob1,
        }

    def load(self, state: dict[str, Any]) -> None:
        self.column, self._kind, self.input = state["column"], state["kind"], state["input"]
        self._iob1 = state.get("iob1", False)  # runs of 0.1 have none
        self.tags = TagSet(state["tags"], state["scheme"], self._where)

    def _text(self, inputs: Mapping[str, Input]) -> Text | None:
        return labelled_text(self.name, self.input, inputs)

    # Reading -------------------------------------------------------------------------------------

    def _lists(self, table: pa.Table) -> pa.Array:
        """Return the column as lists of texts or whole numbers."""
        column = read_lists(table, self.column, self.name)
        inner = column.type.value_type if is_list(column.type) else None
        if inner is None or not (
            pa.types.is_string(inner) or pa.types.is_integer(inner) or pa.types.is_null(inner)
        ):
            raise InputError(
                f"{self._where} holds {described(column.type)}, expected lists of tags, one per "
                "word, or texts of tags separated by spaces"
            )
        lists = column.combine_chunks()
        if not self._iob1:
            return lists
        return pa.array([row and from_iob1(row) for row in lists.to_pylist()], lists.type)

    def _spelt(self, lists: pa.Array) -> pa.Array:
        """Return the tags of all rows, one after the other, as texts."""
        return as_texts(pa.chunked_array([lists.flatten()]), self._where).combine_chunks()

    def _chosen(self, found: list[str]) -> tuple[str, ...]:
        if isinstance(self._given, int) and self._kind == "integer":
            return tuple(str(place) for place in range(self._given))
        if self._given is None or isinstance(self._given, int):
            return tuple(sorted(found, key=int if self._kind == "integer" else None))
        return tuple(str(name) for name in self._given)

    def _strange(self, table: pa.Table) -> pa.Array:
        tags = self._spelt(self._lists(table)).drop_null()
        return tags.filter(pc.invert(pc.is_in(tags, pa.array(self.names, pa.string()))))

    # Checks --------------------------------------------------------------------------------------

    def _check(self, names: tuple[str, ...], found: list[str]) -> None:
        if self._given is None and len(names) > MOST_TAGS:
            raise InputError(
                f"{self._where} has {len(names):,} different tags, expected at most {MOST_TAGS:,}; "
                "if they are right, list them in classes"
            )
        if isinstance(self._given, int) and len(names) != self._given:
            raise InputError(
                f"{self._where} has {len(names):,} tags ({listed(names)}), expected {self._given}; "
                "correct or remove classes"
            )
        strange = sorted(set(found) - set(names))
        if strange:
            raise InputError(
                f"{self._where} has {listed(map(repr, strange))}, which classes does not name "
                f"({hint(strange[0], names[:20])}); correct the tags, or remove classes to learn "
                "them from the data"
            )
        if len(names) < 2:
            raise InputError(
                f"{self._where} has {shown(names[0])} for every labelled word, expected at least "
                "two tags; check the column, or remove the task"
            )

    def _seen(self, table: pa.Table) -> list[str]:
        what = f"task {self.name!r}: "
        if not self.tags.has_spans:
            return [f"{what}the tags are plain, they spell no spans"] if not self._scheme else []
        scheme, notes = self.tags.scheme.upper(), []
        if self._scheme is None:
            count = len(self.tags.types)
            of = f"{scheme}, of {count} type{'s' * (count != 1)}"
            iob1 = "IOB1, where B only separates two spans of one type; they are converted to "
            notes.append(f"{what}the tags are {iob1 if self._iob1 else ''}{of}")
        lengths = self.lengths(table)
        wrong = np.flatnonzero(~self.tags.valid(self.encode(table), lengths))
        if len(wrong):
            tags = self._lists(table)[int(wrong[0])].as_py()
            labelled, first = (lengths >= 0).sum(), shown(" ".join(map(str, tags)))
            notes.append(
                f"{what}{len(wrong):,} of {labelled:,} labelled training rows are not valid "
                f"{scheme}, first {first}; they are learned from as they are, but predictions are "
                "always valid"
            )
        return notes

    # Spans ---------------------------------------------------------------------------------------

    @property
    def _spans(self) -> str:
        return f"{self.name}_spans"

    def _span_column(
        self, spans: Spans, rows: int, more: Mapping[str, pa.Array] = MappingProxyType({})
    ) -> pa.Array:
        fields = {
            "type": pa.array(self.tags.types, pa.string()).take(pa.array(spans.type)),
            "start": pa.array(spans.start),
            "end": pa.array(spans.end),
            **more,
        }
        structs = pa.StructArray.from_arrays(list(fields.values()), list(fields))
        return lists_of(np.bincount(spans.row, minlength=rows), structs)


def _placed(spans: Spans, words: WordPlaces) -> dict[str, pa.Array]:
    """Return the text of each span, and the places of its first character and after its last."""
    rows, ends = spans.row.tolist(), spans.end - 1
    begin = [words.starts[row][at] for row, at in zip(rows, spans.start.tolist(), strict=True)]
    stop = [words.ends[row][at] for row, at in zip(rows, ends.tolist(), strict=True)]
    texts = [words.lines[r][a:b] for r, a, b in zip(rows, begin, stop, strict=True)]
    return {
        "text": pa.array(texts, pa.string()),
        "char_start": pa.array(begin, pa.int64()),
        "char_end": pa.array(stop, pa.int64()),
    }
