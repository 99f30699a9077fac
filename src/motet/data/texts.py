"""`from_texts`: texts, labels of texts and labels of words, ready for a trainer or a loop."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from motet.data.batches import ArrayData
from motet.data.inputs.base import TextSizes
from motet.data.inputs.text import Text
from motet.data.preprocessing import Preprocessing
from motet.data.sources import read
from motet.data.targets import TARGETS, Target
from motet.data.tokenising import from_json
from motet.problems import InputError, shown

_TEXT = "texts"
_COLUMNS = ("<texts>", "<their second parts>")


class TextData(ArrayData):
    """Rows of tokens with targets, and what was learned to make them; see `from_texts`."""

    def __init__(self, inputs: Any, targets: Mapping[str, Any], learned: Preprocessing) -> None:
        super().__init__(inputs, targets)
        self.learned = learned
        """Tokeniser and classes."""

    @property
    def sizes(self) -> TextSizes:
        """What an encoder takes: ``vocabulary`` and ``segments``."""
        return self.learned.texts[_TEXT]

    @property
    def classes(self) -> dict[str, tuple[str, ...]]:
        """For each task that had names for labels, its classes or tags in the order of targets."""
        targets = map(self.learned.target, self.learned.tasks)
        return {each.name: each.names for each in targets if hasattr(each, "names")}


def from_texts(
    texts: Sequence[Any],
    labels: Mapping[str, Sequence[Any]] | None = None,
    tags: Mapping[str, Sequence[Any]] | None = None,
    *,
    tokenizer: Any = "wordpiece",
    like: TextData | None = None,
    **options: Any,
) -> TextData:
    """Turn texts and their labels into what `motet.Trainer` and an encoder of texts take.

    Inputs are ``{"ids": (B, L)}``, with "segments" of pairs and "words" of words, as
    `motet.encoders` takes them; batches are padded to their own longest text.

    Args:
        texts: N texts, lists of words, or pairs (tuples) of texts; None is an empty text.
        labels: For each task N labels, one per text: names become places of classes, numbers stay
            as they are; None is a missing label.
        tags: For each task N lists with a tag per word, names or places. Texts must then be lists
            of words.
        tokenizer: Kind of tokeniser to train on these texts, the path of one, or a tokeniser of
            the libraries tokenizers or transformers.
        like: Training data, whose tokeniser and classes serve again, as for a validation part.
        **options: Options of the input `text`: vocabulary, min_count, lowercase, max_length, split.

    Returns:
        The rows, with ``sizes`` for the encoder and ``classes`` for the tasks.

    Raises:
        InputError: If numbers of rows, or of words and tags, differ, or something is no text.

    Example:
        >>> from motet.encoders import LSTM
        >>> texts = [["to", "Lima"], ["good", "shoes"]]
        >>> tags = {"ner": [["O", "B-to"], ["O", "O"]]}
        >>> data = from_texts(texts, {"mood": ["sad", "glad"]}, tags)
        >>> data.classes
        {'mood': ('glad', 'sad'), 'ner': ('B-to', 'O')}
        >>> encoder = LSTM(data.sizes.vocabulary, width=8)
        >>> (batch,) = data.batches(2)
        >>> encoder(batch["inputs"]).states.shape
        torch.Size([2, 2, 8])
    """
    labels, tags = labels or {}, tags or {}
    table = _table(texts, labels, tags)
    if like is None:
        targets = {task: TARGETS["class"](task) for task in labels if _names(table[task].type)}
        targets |= {task: _tag_target(task, table) for task in tags}
        learned = _learned(table, targets, tokenizer, options)
    elif options or tokenizer != "wordpiece":
        raise InputError("like brings the tokenizer and its options; remove them, or like")
    else:
        learned = like.learned
    inputs = learned.inputs(table)["texts"][_TEXT]
    known = learned.targets(table)
    for task in known:
        if learned.target(task).unseen(table):
            strange = ", ".join(map(repr, learned.target(task).unseen(table)))
            raise InputError(f"task {task!r} has {strange}, which the training data have not")
    return TextData(inputs, {**labels, **tags, **known}, learned)


def _table(
    texts: Sequence[Any], labels: Mapping[str, Sequence[Any]], tags: Mapping[str, Sequence[Any]]
) -> pa.Table:
    texts = list(texts)
    doubled = [task for task in labels if task in tags]
    if doubled:
        raise InputError(f"task {doubled[0]!r} has labels and tags; give each task one of them")
    if any(isinstance(text, tuple) for text in texts):
        pairs = [text if isinstance(text, tuple) else (text, None) for text in texts]
        parts = map(list, zip(*pairs, strict=True))
        columns = dict(zip(_COLUMNS, parts, strict=True))
    else:
        columns = {_COLUMNS[0]: texts}
    return read({**columns, **labels, **tags})


def _names(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_boolean(kind))


def _tag_target(task: str, table: pa.Table) -> Target:
    """Learn names of tags; places of tags stay what they are."""
    inner = getattr(table[task].type, "value_type", pa.string())
    if not pa.types.is_integer(inner):
        return TARGETS["tags"](task)
    return TARGETS["tags"](task, classes=pc.max(pc.list_flatten(table[task])).as_py() + 1)


def _learned(
    table: pa.Table, targets: Mapping[str, Target], tokenizer: Any, options: Mapping[str, Any]
) -> Preprocessing:
    pair = _COLUMNS[1] in table.column_names
    place: dict[str, Any] = {"columns": _COLUMNS} if pair else {"column": _COLUMNS[0]}
    inner = getattr(tokenizer, "backend_tokenizer", tokenizer)  # of a tokeniser of transformers
    if isinstance(inner, str):
        text = Text(_TEXT, **place, tokenizer=inner, **options)
    elif hasattr(inner, "to_str"):
        text = Text(_TEXT, **place, tokenizer=from_json(inner.to_str()), **options)
    else:
        raise InputError(
            f"tokenizer is {shown(tokenizer)}, expected the name of a kind, a path, or a tokenizer "
            "of the libraries tokenizers or transformers (a fast one)"
        )
    learned = Preprocessing({_TEXT: text}, targets)
    learned.fit(table)
    return learned
