"""The key ``data.stream``: data larger than memory, and what does not fit them."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from motet.config.members import Member, Section
from motet.config.named_sources import Found
from motet.config.split_section import SplitConfig
from motet.options import PositiveInt, label_kind_of
from motet.registry import AUXILIARY

_SPLITS = {
    "stratify": "needs all rows to give each split its share of every class; remove it: shares of "
    "classes in splits of many rows differ by chance alone",
    "time": "needs the times of all rows to find the latest; mark the rows in a column, and give "
    "it as column",
    "folds": "trains on all rows several times; remove it, or mark the test rows of each run in a "
    "column",
    "fold": "is one of several folds; remove it",
    "calibration": "is only for rows in memory; remove it, and calibrate the finished run on other "
    "rows",
}
"""Ways of splitting that need all rows, and what to do."""


class StreamConfig(Section):
    """How rows that are larger than memory are read."""

    lanes: PositiveInt = 8
    """In how many parts each epoch is read side by side; the number of processes must divide it."""
    buffer: PositiveInt = 131_072
    """Number of rows that are shuffled together, and in memory three times."""
    cache: Literal["remove", "keep"] = "remove"
    """What becomes of the encoded rows in the run's ``cache`` folder when the run is finished."""


def wrong_stream(
    split: SplitConfig, tasks: Mapping[str, Member], sources: int, training: Any
) -> Iterator[Found]:
    """Find what does not fit rows that are streamed.

    Args:
        split: How they are split.
        tasks: The tasks.
        sources: Number of sources.
        training: The section.

    Yields:
        The key of each problem and its message.
    """
    if sources > 1:
        yield (
            ("data", "stream"),
            f"found {sources} sources, whose rows cannot be streamed yet; join them into one, or "
            "remove stream",
        )
    for option, reason in _SPLITS.items():
        found = getattr(split, option)
        if found is not None:
            yield (
                ("data", "split", option),
                f"found {found!r} beside stream, but {option} {reason}",
            )
    for name, task in tasks.items():
        if task.type not in AUXILIARY and label_kind_of(task.type) == "relevance":
            yield (
                ("tasks", name),
                f"type: {task.type} compares the rows of a query, which a stream does not keep "
                "together; remove stream, or the task",
            )
    if training.cache_frozen:
        yield (
            ("training", "cache_frozen"),
            "found true beside stream: states of frozen encoders are kept for rows in memory; "
            "remove it",
        )
