"""`motet init`: from a table to a config with every guess and its reason.

Needs no torch. The text is a config that `motet validate` accepts as it is; unused columns, and
settings with their defaults, are commented out.
"""

import json
import os
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import BaseModel

from motet.config import Config, json_schema
from motet.config.members import Section
from motet.config.shortcuts import Chosen, named_tasks, split_options
from motet.data.inference import (
    Guess,
    infer_group,
    infer_inputs,
    infer_split,
    infer_tasks,
    usable,
)
from motet.data.sources import names_in, read
from motet.data.splits import Splits, split
from motet.data.strata import find_strata
from motet.data.targets import Target
from motet.options import label_kind_of
from motet.problems import InputError
from motet.registry import INPUTS, LABELS
from motet.run.commented_yaml import Line, aligned, on_one_line
from motet.run.folder import check_output, write_text
from motet.run.initial_settings import (
    Settings,
    choose,
    own_encoder,
    with_encoder,
    worked_example,
)

SCHEMA = "motet.schema.json"
"""Name of the JSON Schema beside the config, for editors; the same for all configs in a folder."""

_SHOWN = {
    "model": ("encoder", "sharing"),
    "balancing": (),
    "training": (
        "epochs",
        "batch_size",
        "optimizer",
        "lr_schedule",
        "clip_norm",
        "seed",
        "monitor",
        "early_stopping",
    ),
}
"""Settings that are shown with their defaults: sections, or some of their keys."""

_ANY = {"any": {"type": "regression"}}
_FEWEST_OF_A_CLASS = 10
"""Rows of a class below which it is rare."""
_MOST_RARE = 0.1
"""Share of rows with rare classes above which the split is not stratified by class."""
_UNCOMMENT = "remove its # and the space after it"


def initialise(source: str, targets: Sequence[str], output: str | Path) -> Path:
    """Write a config for a table, and beside it the JSON Schema that its first line names.

    Args:
        source: Path or pattern of data files, relative to the working folder; or ``motet://NAME``.
        targets: Columns to predict; a type asked for stands after a colon, "rooms:regression".
        output: Path of the config, a .yaml or .yml file.

    Returns:
        Path of the config.

    Raises:
        InputError: If the output exists already or cannot be written, the data cannot be read, or a
            target is missing or cannot be predicted.
    """
    path = check_output(output, (".yaml", ".yml"))
    text = initial_config(source, targets, path.absolute().parent)
    write_text(path.with_name(SCHEMA), json.dumps(json_schema(), indent=1) + "\n")
    write_text(path, f"# yaml-language-server: $schema={SCHEMA}\n{text}")
    return path


def initial_config(source: str, targets: Sequence[str], folder: Path | None = None) -> str:
    """Make the text of a config for a table.

    Args:
        source: Path or pattern of data files, relative to the working folder; or ``motet://NAME``.
        targets: Columns to predict; a type asked for stands after a colon, "rooms:regression".
        folder: Folder of the config; the working folder if left out.

    Returns:
        YAML with comments.

    Raises:
        InputError: If the data cannot be read, a target is missing or cannot be predicted, or no
            other column can be used.

    Example:
        >>> for line in initial_config("motet://adult", ["income"]).splitlines()[:8]:
        ...     print(line)
        # Each guess has its reason beside it.
        <BLANKLINE>
        data:
          source: motet://adult
          split: {column: split}  # marks train and test; 15 % of train serve to validate
        <BLANKLINE>
        inputs:                     # what the model sees
          age: number               # 73 distinct whole numbers
    """
    table, name_row = read(source), names_in(source)
    tasks = infer_tasks(table, targets, name_row)
    split_choice, splits, reason = _choose_split(table, tasks)
    used = {*(guess.column for guess in tasks)}
    used |= {split_choice[key] for key in ("column", "group") if key in split_choice}
    used |= {guess.options["query"] for guess in tasks if "query" in guess.options}
    inputs = infer_inputs(table, [str(name) for name in used], splits.train, name_row)
    words = _words_of(table, tasks)
    usable(inputs)
    chosen = choose(inputs, tasks, words, table, splits)
    sections = (
        _of_data(_relative(source, folder), split_choice, reason),
        _of_inputs(inputs, words, chosen),
        _of_tasks(tasks, chosen),
        _of_settings(chosen, _unread_settings(inputs)),
    )
    head = ["# Each guess has its reason beside it.", *worked_example(inputs, tasks), ""]
    return "\n".join(["\n".join(head), *map(aligned, sections)])


# Sections ------------------------------------------------------------------------------------


def _choose_split(table: pa.Table, tasks: Sequence[Guess]) -> tuple[Chosen, Splits, str]:
    """Choose a column that marks the splits, else groups, else rows, by class if enough."""
    targets = [guess.column for guess in tasks]
    found = infer_split(table, exclude=targets)
    if found is not None:
        options = split_options(found)
        reason = f"marks {' and '.join(found.marks)}"
        if "validation" not in found.marks:
            reason += "; 15 % of train serve to validate"
        return options, split(table, **options), reason
    options = {"validation": 0.15, "test": 0.15, "seed": 0}
    group, reason = _group(table, tasks)
    if group is not None:
        in_groups = {"group": group, **options}
        return in_groups, split(table, **in_groups, labels=targets), reason
    for guess in tasks:
        column = guess.column
        if _target(guess).has_strata(table, column) and not _has_rare_classes(table, column):
            by_class = {**options, "stratify": column}
            with suppress(InputError):  # too few rows in each class
                return by_class, split(table, **by_class), "drawn at random, class by class"
    return options, split(table, **options), "drawn at random"


def _group(table: pa.Table, tasks: Sequence[Guess]) -> tuple[str | None, str]:
    """Choose the column whose rows are in one split, that of a ranking first; and the reason."""
    query = next((guess.options["query"] for guess in tasks if "query" in guess.options), None)
    if query is not None:
        return query, "a ranking compares the rows of a query, so they are in one split"
    names = infer_group(table, exclude=[guess.column for guess in tasks])
    return (
        (None, "")
        if names is None
        else (
            names.column,
            f"{names.reason}: rows of one are in one split",
        )
    )


def _has_rare_classes(table: pa.Table, column: str) -> bool:
    return find_strata(table, column).rare(_FEWEST_OF_A_CLASS) > _MOST_RARE


def _relative(source: str, folder: Path | None) -> str:
    if folder is None or "://" in source or Path(source).expanduser().is_absolute():
        return source
    return os.path.relpath(source, folder)


def _of_data(source: str, chosen: Chosen, reason: str) -> Iterator[Line]:
    yield "data:", ""
    yield f"  source: {on_one_line(source)}", ""
    yield f"  split: {on_one_line(chosen)}", reason


def _words_of(table: pa.Table, tasks: Sequence[Guess]) -> set[str]:
    """Name the columns of texts whose words, separated by spaces, are labelled."""
    spaced = [_target(guess).labelled_text(table, guess.column) for guess in tasks]
    return {name for name in spaced if name is not None}


def _target(guess: Guess) -> type[Target]:
    assert guess.type is not None  # every target has a type of task
    found: type[Target] = LABELS[label_kind_of(guess.type)]
    return found


def _of_inputs(
    guesses: Sequence[Guess], words: Collection[str], settings: Settings
) -> Iterator[Line]:
    yield "inputs:", "what the model sees"
    for guess in guesses:
        if guess.type is not None:
            own = with_encoder(guess, guess.column in words)
            own, reasons = settings.merged(own, "inputs", guess.column)
            reason = "; ".join([guess.reason, *reasons])
            yield f"  {on_one_line(guess.column)}: {on_one_line(own)}", reason
    left = [guess for guess in guesses if guess.type is None]
    if left:
        yield f"  # not used; to use one, {_UNCOMMENT}, and write its type:", ""
        yield f"  # {' '.join(INPUTS)}", ""
    for guess in left:
        yield f"  # {on_one_line(guess.column)}:", guess.reason


def _of_tasks(guesses: Sequence[Guess], settings: Settings) -> Iterator[Line]:
    yield "tasks:", "what it predicts"
    for (name, options), guess in zip(named_tasks(guesses).items(), guesses, strict=True):
        own, reasons = settings.merged(options, "tasks", name)
        reason = "; ".join([guess.reason, *reasons])
        yield f"  {on_one_line(name)}: {on_one_line(own)}", reason


def _unread_settings(inputs: Sequence[Guess]) -> set[str]:
    """Name settings without effect: the encoder of numbers and categories, if there are none."""
    kinds = {guess.type for guess in inputs if guess.type is not None}
    return {"encoder"} if all(map(own_encoder, kinds)) else set()


def _of_settings(settings: Settings, unread: Collection[str]) -> Iterator[Line]:
    """Show settings with their defaults, which are those of the schema, and what was chosen."""
    yield f"# What follows are defaults; to change one, {_UNCOMMENT}. Names: motet list", ""
    defaults = Config(tasks=_ANY)
    for section, keys in _SHOWN.items():
        value = getattr(defaults, section)
        if not keys:
            own, reasons = settings.merged(None, section)
            if reasons:
                yield f"{section}: {on_one_line(own)}", "; ".join(reasons)
            else:
                yield f"# {section}: {on_one_line(_plain(value))}", _first_words(Config, section)
            continue
        chosen = settings.keys(section)
        yield f"{section}:" if chosen else f"# {section}:", ""
        for key in dict.fromkeys((*keys, *chosen)):
            if key in unread:
                continue
            if key in chosen:
                own, reasons = settings.merged(None, section, key)
                other = "" if own == _plain(getattr(value, key)) else "chosen: "
                yield f"  {key}: {on_one_line(own)}", other + "; ".join(reasons)
                continue
            text = on_one_line(_plain(getattr(value, key)))
            yield f"{'  # ' if chosen else '#   '}{key}: {text}", _first_words(type(value), key)


def _plain(value: Any) -> Any:
    """Return those options of a member that are set."""
    return (
        value.model_dump(mode="json", exclude_none=True) if isinstance(value, BaseModel) else value
    )


def _first_words(section: type[Section], key: str) -> str:
    text = section.explanations().get(key, "")
    return re.split(r"[.;:]\s", " ".join(text.split()).rstrip(".") + ". ")[0]
