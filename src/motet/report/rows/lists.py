"""Rows with a tag for each word: spans by type, or words by tag."""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from motet.report.elements import Element, Titled
from motet.report.facts import Integers, ListRows
from motet.report.rows.precision import Counts, precision_table
from motet.report.rows.wrong import Wrong

MISSING = -100
MEASURE = "words that are wrong"


def figures(rows: ListRows, points: int) -> Iterator[Element]:
    """Yield the table of a task.

    Args:
        rows: The rows.
        points: Of no effect, as rows are not drawn one by one.
    """
    spans = rows.tags.has_spans
    names = rows.tags.types if spans else rows.tags.names
    find = _spans if spans else _words
    true = find(rows, rows.truth)
    said = find(rows, np.where(rows.truth < 0, MISSING, rows.predicted))
    by_name = [Counter(each[-1] for each in part) for part in (true, said, true & said)]
    counts = {name: Counts(*(n[place] for n in by_name)) for place, name in enumerate(names)}
    kind = "span" if spans else "tag"
    yield Titled(f"{kind.capitalize()}s of words", precision_table(kind, counts), wide=False)


def _spans(rows: ListRows, tags: Integers) -> set[tuple[int, ...]]:
    found = rows.tags.spans(tags)
    each = (found.row.tolist(), found.start.tolist(), found.end.tolist(), found.type.tolist())
    return set(zip(*each, strict=True))


def _words(rows: ListRows, tags: Integers) -> set[tuple[int, ...]]:
    row, word = np.nonzero(tags >= 0)
    return set(zip(row.tolist(), word.tolist(), tags[row, word].tolist(), strict=True))


def wrong(rows: ListRows, count: int) -> list[Wrong]:
    """Return the rows with most wrong words, the most first."""
    errors = ((rows.truth >= 0) & (rows.truth != rows.predicted)).sum(axis=1)
    places = np.argsort(-errors, kind="stable")[:count]
    return [
        Wrong(
            int(place),
            _spelt(rows, rows.truth[place]),
            _spelt(rows, rows.predicted[place]),
            int(errors[place]),
        )
        for place in places
        if errors[place]
    ]


def _spelt(rows: ListRows, tags: Integers) -> str:
    return " ".join(rows.tags.names[tag] for tag in tags.tolist() if tag >= 0)
