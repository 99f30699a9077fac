"""`from_texts`: texts, text labels and word labels, ready for a trainer or a loop."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from motet.data.arrays import ArrayData
from motet.data.inputs.shapes import TextSizes
from motet.data.inputs.text import Text
from motet.data.output_tokenisers import KINDS, Kind
from motet.data.preprocessing import Preprocessing
from motet.data.sources import read
from motet.data.targets import Target, TextTarget
from motet.data.targets.classes import MISSING
from motet.data.tokenising import from_json
from motet.problems import InputError, RowError, hint, option_hint, shown
from motet.registry import LABELS

_TEXT = "texts"
_COLUMNS = ("<texts>", "<second texts>")
_OPTIONS = ("vocabulary", "min_count", "lowercase", "max_length", "split", "encoder")


class TextData(ArrayData):
    """Rows of tokens with targets, and what was learned to make them; see `from_texts`."""

    def __init__(self, inputs: Any, targets: Mapping[str, Any], learned: Preprocessing) -> None:
        super().__init__(inputs, targets)
        self.learned = learned
        """Tokeniser and classes."""

    @property
    def sizes(self) -> TextSizes:
        """What an encoder takes: ``vocabulary`` and ``segments``."""
        return self.learned.shapes().texts[_TEXT]

    @property
    def classes(self) -> dict[str, tuple[str, ...]]:
        """For each task that had names for labels, its classes or tags in the order of targets."""
        targets = map(self.learned.target, self.learned.tasks)
        return {each.name: each.names for each in targets if each.names}

    @property
    def generation(self) -> dict[str, dict[str, int]]:
        """For each task with texts to generate, its ``vocabulary_size`` and ``max_length``."""
        targets = map(self.learned.target, self.learned.tasks)
        return {each.name: each.learned() for each in targets if isinstance(each, TextTarget)}

    def spelt(self, task: str, tokens: Any) -> list[str]:
        """Join generated tokens to texts.

        Args:
            task: The task.
            tokens: What `motet.Trainer.predict` returns for it, (N, L).

        Returns:
            N texts.

        Raises:
            InputError: If it is not a task with texts to generate.
        """
        if task not in self.generation:
            raise InputError(f"{task!r} has no texts to generate; {hint(task, self.generation)}")
        found: list[str] = self.learned.predictions(task, np.asarray(tokens))[task].to_pylist()
        return found


def from_texts(
    texts: Sequence[Any],
    labels: Mapping[str, Sequence[Any]] | None = None,
    tags: Mapping[str, Sequence[Any]] | None = None,
    *,
    outputs: Mapping[str, Sequence[Any]] | None = None,
    output_tokenizer: Kind = "bpe",
    tokenizer: Any = "wordpiece",
    like: TextData | None = None,
    **options: Any,
) -> TextData:
    """Turn texts and their labels into what `motet.Trainer` and a text encoder take.

    Inputs are ``{"ids": (B, L)}``, with "segments" of pairs and "words" of words, as
    `motet.encoders` takes them; batches are padded to their own longest text.

    Args:
        texts: N texts, lists of words, or pairs (tuples) of texts; None is an empty text.
        labels: For each task N labels, one per text: names become class indices, numbers stay as
            they are; None is a missing label.
        tags: For each task N lists with a tag per word, names or indices; None is a word, or a
            text, without tags, and so is -100 among indices. Texts must then be lists of words, or
            be split by ``split="spaces"``.
        outputs: For each task N texts to generate; None is a missing label.
        output_tokenizer: How these become tokens: bpe, words or characters.
        tokenizer: Kind of tokeniser to train on these texts, the path of one, or a tokeniser of
            the libraries tokenizers or transformers.
        like: Training data, whose tokeniser and classes are used again, as for validation rows. A
            task that they do not have learns its classes here, as after pre-training.
        **options: Options of the input `text`: vocabulary, min_count, lowercase, max_length, split,
            and encoder, for what the encoder reads beside tokens, such as the n-grams of a bag.

    Returns:
        The rows, with ``sizes`` for the encoder, ``classes`` for the tasks, and ``generation`` for
        those that generate texts.

    Raises:
        InputError: If numbers of rows, or of words and tags, differ, something is not a text, or
            an option is unknown.

    Example:
        >>> from motet.encoders import LSTM
        >>> texts = [["to", "Lima"], ["good", "shoes"]]
        >>> tags = {"ner": [["O", "B-to"], ["O", "O"]]}
        >>> data = from_texts(texts, {"mood": ["sad", "glad"]}, tags)
        >>> data.classes
        {'mood': ('glad', 'sad'), 'ner': ('B-to', 'O')}
        >>> encoder = LSTM(data.sizes.vocabulary, width=8)
        >>> (batch,) = data.batches(2)
        >>> encoder(batch.inputs).states.shape
        torch.Size([2, 2, 8])
    """
    labels, tags = _by_task("labels", labels), _by_task("tags", tags)
    outputs = _by_task("outputs", outputs)
    if output_tokenizer not in KINDS:
        raise InputError(f"output_tokenizer: {hint(str(output_tokenizer), KINDS)}")
    if not (like is None or isinstance(like, TextData)):
        raise InputError(f"like is {shown(like)}, expected what from_texts returned")
    arguments = ("texts", "labels", "tags", "tokenizer", *_OPTIONS)
    for option in options:
        if option not in _OPTIONS:
            about = option_hint(option, arguments)
            raise InputError(f"from_texts has no option {option!r}; {about}")
    table = _table(texts, labels, tags, outputs, like)
    seen = set() if like is None else {*like.targets, *like.learned.tasks}
    named = [task for task in labels if task not in seen and _names(table[task].type)]
    targets: dict[str, Target] = {task: LABELS["class"](task) for task in named}
    targets |= {task: _tag_target(task, table) for task in tags if task not in seen}
    new = [task for task in outputs if task not in seen]
    targets |= {task: TextTarget(task, tokenizer=output_tokenizer) for task in new}
    if like is None:
        learned = _learned(table, targets, tokenizer, options)
    elif options or tokenizer != "wordpiece":
        raise InputError("like brings the tokenizer and its options; remove them, or like")
    else:
        learned = like.learned.extended(targets, table)
    inputs = learned.inputs(table)["texts"][_TEXT]
    known = learned.targets(table)
    for task in known:
        if learned.target(task).unseen(table):
            strange = ", ".join(map(repr, learned.target(task).unseen(table)))
            raise InputError(f"task {task!r} has {strange}, which the training data do not have")
    return TextData(inputs, {**labels, **tags, **outputs, **known}, learned)


def _by_task(what: str, given: Any) -> Mapping[str, Sequence[Any]]:
    if not isinstance(given, Mapping | None):
        raise InputError(f"{what} is {shown(given)}, expected a list for each task, by its name")
    return given or {}


def _table(
    texts: Any,
    labels: Mapping[str, Sequence[Any]],
    tags: Mapping[str, Sequence[Any]],
    outputs: Mapping[str, Sequence[Any]],
    like: TextData | None,
) -> pa.Table:
    given = {"labels": labels, "tags": tags, "outputs": outputs}
    for task in {**labels, **tags, **outputs}:
        kinds = [kind for kind, by_task in given.items() if task in by_task]
        if len(kinds) > 1:
            raise InputError(f"task {task!r} has {' and '.join(kinds)}; give each task one of them")
    if isinstance(texts, (str, Mapping)) or not isinstance(texts, Iterable):
        raise InputError(f"texts is {shown(texts)}, expected a list of texts; put it into a list")
    texts = [_plain(text) for text in texts]
    is_pairs = any(isinstance(text, tuple) for text in texts)
    if like is not None:
        if is_pairs and like.sizes.segments == 1:
            raise InputError("texts are pairs, but those of the training data are not; join them")
        is_pairs = like.sizes.segments > 1
    fields = _pair_fields(texts) if is_pairs else [texts]
    columns = dict(zip(_COLUMNS, fields, strict=is_pairs))
    tagged = {task: list(map(_labelled, rows)) for task, rows in tags.items()}
    try:
        return read({**columns, **labels, **tagged, **outputs})
    except InputError:
        for each in fields:
            _refuse_mixed(each)
        raise


def _plain(given: Any) -> Any:
    """Return a text or a list as a Python object, whatever array it is from."""
    plain = given.tolist() if hasattr(given, "tolist") else given
    return getattr(plain, "as_py", lambda: plain)() if plain == plain else None  # not NaN


def _labelled(tags: Any) -> Any:
    plain = _plain(tags)
    return [None if tag == MISSING else tag for tag in plain] if isinstance(plain, list) else plain


def _pair_fields(texts: Sequence[Any]) -> list[list[Any]]:
    """Return first and second texts of pairs; a text alone is a first one."""
    pairs = [text if isinstance(text, tuple) else (text, None) for text in texts]
    for row, pair in enumerate(pairs):
        if len(pair) != len(_COLUMNS):
            expected = ", expected a pair of texts; words are a list"
            raise RowError(f"texts has a tuple of {len(pair)} in", row, expected)
    return [list(field) for field in zip(*pairs, strict=True)] or [[], []]


def _refuse_mixed(texts: Sequence[Any]) -> None:
    """Name the row whose text is of another type than the first."""
    first = next((text for text in texts if text is not None), None)
    for row, text in enumerate(texts):
        if text is not None and type(text) is not type(first):
            raise RowError(
                f"texts has {shown(text)} in", row, f", expected one type, as {shown(first)} before"
            )
        for word in text if isinstance(text, list) else ():
            if not isinstance(word, str | None):
                raise RowError(f"texts has the word {shown(word)} in", row, ", expected a text")


def _names(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_boolean(kind))


def _tag_target(task: str, table: pa.Table) -> Target:
    """Learn names of tags; places of tags stay as they are."""
    inner = getattr(table[task].type, "value_type", pa.string())
    places = pa.types.is_integer(inner)
    classes = pc.max(pc.list_flatten(table[task])).as_py() + 1 if places else None
    target: Target = LABELS["tags"](task, classes=classes)
    return target


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
