"""Which inputs each source of a run has, and which it lacks."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

import pyarrow as pa

from motet.config import Config
from motet.config.collecting import Collector
from motet.data.inputs.base import Input
from motet.data.selection import require_columns
from motet.options import create
from motet.problems import InputError
from motet.registry import INPUTS
from motet.run.given_sources import in_source
from motet.run.reading import Given, Reading


def choose_inputs(
    config: Config, collector: Collector, sources: Mapping[str, Reading]
) -> dict[str, Given]:
    """Find the inputs of each source, and report those that none has.

    Numbers and other columns of one table are encoded together, so a source that has some of them
    has all: those whose columns it lacks are missing in all of its rows.

    Args:
        config: The config, with inputs.
        collector: Collects problems.
        sources: The sources, read.

    Returns:
        What inputs read of each source.

    Raises:
        InputError: Collected, as all problems are.
    """
    made: dict[str, Input] = {}
    for name, chosen in (config.inputs or {}).items():
        with collector.at("inputs", name):
            made[name] = create(INPUTS, chosen.type, name, **chosen.options())
    if list(sources) == [""]:
        (one,) = sources.values()
        for name, each in made.items():
            with collector.at("inputs", name):
                _check_input(each, one)
        return {"": Given(one.table, list(made))}
    found: dict[str, Given] = {}
    for source, reading in sources.items():
        found[source] = Given(reading.table, _inputs_in(reading, made, collector))
        if made and not found[source].inputs:
            with collector.at(*reading.place), in_source("" if reading.entry else source):
                raise InputError(
                    f"it has the columns of no input: {', '.join(made)}; expected those of one at "
                    "least"
                )
    for name, each in made.items():
        if not any(name in given.inputs for given in found.values()):
            with collector.at("inputs", name):
                raise InputError(_nowhere(each, sources))
    collector.stop()
    in_table = [name for name in made if not (config.inputs or {})[name].options().get("encoder")]
    for given in found.values():
        _complete(given, made, in_table, list(found.values()))
    return found


def _check_input(made: Input, reading: Reading) -> None:
    columns = made.columns(reading.table.column_names)
    require_columns(reading.table, columns, f"input {made.name!r}")
    for column in columns:
        if column in reading.used:
            raise InputError(f"it reads {column!r}, which is a target or the split; remove it")
        if column in reading.weighted:
            raise InputError(
                f"it reads {column!r}, which is the row_weight of task "
                f"{reading.weighted[column]!r}; remove it"
            )


def _inputs_in(reading: Reading, made: Mapping[str, Input], collector: Collector) -> list[str]:
    """Return the inputs that a source has: those that it names, or whose columns are there."""
    named = None if reading.entry is None else reading.entry.inputs
    found = []
    for name, each in made.items():
        if named is not None:
            if name in named:
                with collector.at(*reading.place, "inputs"):
                    _check_input(each, reading)
                    found.append(name)
            continue
        with suppress(InputError):
            _check_input(each, reading)
            found.append(name)
    return found


def _nowhere(made: Input, sources: Mapping[str, Reading]) -> str:
    """Describe an input that no source has."""
    for reading in sources.values():
        try:
            _check_input(made, reading)
        except InputError as error:
            if "did you mean" in error.message:
                return f"no source has it: in {reading.name!r}, {error.message}"
    return f"no source has it: {', '.join(sources)}; expected its column in one, or remove it"


def _complete(
    given: Given, made: Mapping[str, Input], in_table: Sequence[str], sources: Sequence[Given]
) -> None:
    """Add columns without values for what a source lacks of the table."""
    if not any(name in given.inputs for name in in_table):
        return
    lacking = [name for name in in_table if name not in given.inputs]
    table = given.table
    for name in lacking:
        other = next(each.table for each in sources if name in each.inputs)
        for column in made[name].columns(other.column_names):
            values = pa.nulls(len(table), other.schema.field(column).type)
            if column in table.column_names:
                table = table.drop_columns([column])
            table = table.append_column(column, values)
    given.table, given.lacking = table, tuple(lacking)
    given.inputs = tuple(name for name in made if name in {*given.inputs, *lacking})
