"""Splits of rows that are read in parts."""

import numpy as np
import pyarrow as pa
import pytest

from motet.data.sources.streams import TableStream
from motet.data.splits.streamed import StreamSplit
from motet.problems import InputError

ROWS = 20_000


def places(table: pa.Table, rows: int, **options: object) -> np.ndarray:
    stream = TableStream(table)
    split = StreamSplit(stream, **options)  # type: ignore[arg-type]
    parts = enumerate(stream.tables(rows))
    return np.concatenate([split.places(part, number * rows) for number, part in parts])


def test_rows_are_drawn_by_their_numbers_alone() -> None:
    table = pa.table({"x": np.arange(ROWS)})
    found = places(table, 1000, validation=0.2, test=0.1)
    assert np.array_equal(found, places(table, 777, validation=0.2, test=0.1))
    assert not np.array_equal(found, places(table, 1000, validation=0.2, test=0.1, seed=1))
    shares = np.bincount(found) / ROWS
    assert np.allclose(shares, [0.7, 0.2, 0.1], atol=0.015)
    assert set(places(table, 1000, test=0.0).tolist()) == {0, 1}


def test_groups_stay_together() -> None:
    names = np.random.default_rng(0).integers(0, 3000, ROWS)
    column = pa.array([None if name < 100 else f"customer {name}" for name in names])
    found = places(pa.table({"who": column}), 999, group="who")
    for name in range(100, 3000, 50):
        assert len(set(found[names == name])) == 1
    assert len(set(found[names < 100])) == 3
    assert np.allclose(np.bincount(found) / ROWS, [0.7, 0.15, 0.15], atol=0.03)


def test_a_column_marks_splits() -> None:
    marks = ["train", "test", "validation", "train"] * 10
    found = places(pa.table({"part": marks}), 7, column="part")
    assert found.tolist() == [0, 2, 1, 0] * 10
    table = pa.table({"part": ["a", "b", "a", "a"] * 100})
    found = places(table, 7, column="part", train="a", test="b")
    assert set(found[1::4]) == {2}
    assert set(found[0::4]) == {0, 1}
    split = StreamSplit(TableStream(table), column="part", train="a", test="b")
    assert "15 % of the training rows (seed 0) are used for validation" in split.notes[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"column": "y"}, "no column 'y'"),
        ({"column": "x"}, "'2', which mark no split"),
        ({"column": "part"}, "'b', which mark no split"),
        ({"column": "part", "train": "c", "test": "a", "validation": "b"}, "'part' is 'c'"),
        ({"group": "y"}, "no column 'y'"),
        ({"group": "list"}, "lists of numbers, expected texts"),
        ({"validation": 0.5, "test": 0.5}, "sum is below 1"),
    ],
)
def test_what_does_not_fit_is_named(options: dict[str, object], message: str) -> None:
    table = pa.table({"x": ["train", "2"], "part": ["a", "b"], "list": [[1], [2]]})
    with pytest.raises(InputError, match=message):
        StreamSplit(TableStream(table), **options)  # type: ignore[arg-type]
