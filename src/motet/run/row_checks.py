"""Checks of labels and predictions, of rows in memory and of streams."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from motet.config import Config
from motet.config.collecting import Collector
from motet.data.fitting import At
from motet.data.preprocessing import Preprocessing
from motet.data.row_names import named
from motet.data.selection import listed
from motet.data.sources import Source
from motet.data.targets import Target
from motet.problems import InputError, RowError
from motet.run.given_sources import in_source


def counted_in(numbers: Any, source: Source, collector: Collector, name: str = "") -> At:
    """Name the row of an error by its number in the source, of which some rows were read.

    Args:
        numbers: Numbers of the rows (n,).
        source: The source.
        collector: Collects the errors.
        name: Name of the source, if there are several.

    Returns:
        See `motet.data.preprocessing.Preprocessing.fit`.
    """

    @contextmanager
    def at(section: str, key: str) -> Iterator[None]:
        with collector.at(section, key), in_source(name), named(source.row_name):
            try:
                yield
            except RowError as error:
                raise error.of(numbers) from None

    return at


def with_named_classes(config: Config, tasks: Collection[str]) -> list[str]:
    """Return those of some tasks whose classes the config names."""
    return [task for task in tasks if config.tasks[task].options().get("classes") is not None]


def check_named(
    tasks: Sequence[str],
    table: pa.Table,
    first: int,
    preprocessing: Preprocessing,
    source: Source,
    collector: Collector,
    name: str = "",
) -> None:
    """Report labels of any split that are not among the classes given.

    Args:
        tasks: Tasks whose classes the config names.
        table: Rows with labels.
        first: The number of the first row in the source.
        preprocessing: The fitted preprocessing.
        source: The source.
        collector: Collects the problems.
        name: Name of the source, if there are several.

    Raises:
        InputError: Collected, as all problems are.
    """
    for task in tasks:
        target, judged = preprocessing.target(task), preprocessing.judged(task, table)
        with collector.at("tasks", task), in_source(name):
            found = {label: target.first_row(judged, label) for label in target.unseen(judged)}
            if found:
                strange = listed(
                    repr(label) if row is None else f"{label!r} in {source.row_name(first + row)}"
                    for label, row in found.items()
                )
                raise InputError(
                    f"its labels have {strange}, not among its classes; correct the labels, or "
                    "remove classes to treat such labels as missing"
                )


def check_predictions(
    targets: Mapping[str, Target],
    columns: Mapping[str, Sequence[str]],
    kept: Mapping[str, str],
    collector: Collector,
) -> None:
    """Report tasks whose predictions would share a column name, or use one that is taken.

    Args:
        targets: The fitted targets, by task.
        columns: The columns of the rows of each task.
        kept: Names that are taken, and what each is.
        collector: Collects the problems.

    Raises:
        InputError: Collected, as all problems are.
    """
    owners: dict[str, str] = {}
    for task, target in targets.items():
        for column in target.prediction_names(columns[task]):
            advice = ", and column: ".join(
                ["give the task another name", *target.columns(columns[task])[:1]]
            )
            with collector.at("tasks", task):
                if column in kept:
                    raise InputError(
                        f"its predictions would have a column {column!r}, which is {kept[column]} "
                        f"in predictions/test.parquet; {advice}"
                    )
                if owners.setdefault(column, task) != task:
                    raise InputError(
                        f"its predictions and those of task {owners[column]!r} both have a column "
                        f"{column!r}; {advice}"
                    )
