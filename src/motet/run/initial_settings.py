"""What `motet init` chooses by the data, by the same rules as a run; see `motet.settings`."""

from collections.abc import Collection, Iterator, Sequence
from math import ceil
from typing import Any

import pyarrow as pa

from motet.config import Config, ConfigError
from motet.config.shortcuts import Chosen, named_tasks
from motet.data.inference import Guess
from motet.data.splits import Splits
from motet.options import label_kind_of, read_options
from motet.registry import INPUTS
from motet.run.facts import SplitRows, facts_of
from motet.settings import Choice, resolve

_FEWEST_STEPS = 10
"""Steps of an epoch with default batches, below which batches, epochs and patience are chosen."""
_BUDGET: Chosen = {
    "batch_size": "auto",
    "epochs": "auto",
    "early_stopping": {"patience": {"share": 0.25}},
}
_ANY = {"any": {"type": "regression"}}


class Settings:
    """What rules chose.

    Args:
        choices: Keys, values and reasons.
    """

    def __init__(self, choices: Sequence[Choice]) -> None:
        self._choices = [(tuple(each.key.split(".")), each) for each in choices]

    def keys(self, section: str) -> list[str]:
        """Return the keys of a section that something was chosen of."""
        return list(dict.fromkeys(path[1] for path, _ in self._choices if path[0] == section))

    def merged(self, options: Any, *place: str) -> tuple[Any, list[str]]:
        """Put what was chosen into options.

        Args:
            options: Options as they are written, a name for a member; None for none.
            place: The key of the options.

        Returns:
            The options, and the reason for each choice.
        """
        own = [(path[len(place) :], e) for path, e in self._choices if path[: len(place)] == place]
        for path, choice in own:
            options = _with(options, path, choice.value)
        return options, [choice.reason for _, choice in own]


def choose(
    inputs: Sequence[Guess],
    tasks: Sequence[Guess],
    words: Collection[str],
    table: pa.Table,
    splits: Splits,
) -> Settings:
    """Choose what is not the default for a table.

    Args:
        inputs: The inferred types of columns, also of those that are not used.
        tasks: The tasks.
        words: Columns of texts whose words are labelled.
        table: All rows.
        splits: How they are split.

    Returns:
        What was chosen. Where default batches would make few steps, batches, epochs and patience
        are among it.
    """
    rows = len(splits.train)
    few = ceil(rows / Config(tasks=_ANY).training.batch_size) < _FEWEST_STEPS
    used = [guess for guess in inputs if guess.type is not None]
    bare = {each.column: with_encoder(each, each.column in words, spelled=False) for each in used}
    given: Chosen = {
        "inputs": {
            name: {"type": each} if isinstance(each, str) else each for name, each in bare.items()
        },
        "tasks": named_tasks(tasks),
        "training": _BUDGET if few else {},
    }
    try:
        config = Config(**given).model_dump()
    except ConfigError:  # which `motet validate` reports in the file, at its line
        return Settings([])
    of_rows = SplitRows(table, splits.train, rows, len(splits.validation))
    facts = facts_of([of_rows], config["inputs"], config["tasks"])
    return Settings(resolve(config, given, facts)[1])


def with_encoder(guess: Guess, of_words: bool, *, spelled: bool = True) -> str | Chosen:
    """Write an input, with its encoder if it has one, though it is the default.

    Args:
        guess: The inferred type of the column.
        of_words: Whether the words of a text are labelled.
        spelled: Whether to write the encoder.

    Returns:
        The input as in a config.
    """
    assert guess.type is not None
    encoder = own_encoder(guess.type) if spelled else None
    split = {"split": "spaces"} if of_words else {}
    own = {**split, **guess.options, **({} if encoder is None else {"encoder": encoder})}
    return {"type": guess.type, **own} if own else guess.type


def own_encoder(kind: str) -> str | None:
    """Return the default encoder of a type of input; None if it is part of the table."""
    options = {option.name: option.default for option in read_options(INPUTS, kind)}
    return options.get("encoder")


def worked_example(inputs: Sequence[Guess], tasks: Sequence[Guess]) -> Iterator[str]:
    """Name the example of the repository whose inputs and tasks are of the same kinds.

    Yields:
        A comment, if there is one.
    """
    kinds = {guess.type for guess in inputs if guess.type is not None}
    labels = {label_kind_of(str(guess.type)) for guess in tasks}
    if kinds == {"text"} and "tags" in labels:
        yield "# examples/snips_joint.yaml of the repository is tuned for texts with word tags."
    elif kinds == {"text"} and labels == {"class"}:
        yield "# examples/clothing.yaml of the repository is tuned for texts with classes."


def _with(options: Any, path: Sequence[str], value: Any) -> Any:
    if not path:
        return value
    found = {"type": options} if isinstance(options, str) else dict(options or {})
    first, *rest = path
    found[first] = _with(found.get(first), rest, value)
    return found
