"""Bounds in a column of numbers."""

import json

import numpy as np
import pytest

from motet.data.sources import read
from motet.data.targets import IntervalTarget, NumberTarget
from motet.problems import InputError, RowError

INF = np.inf


def fitted(labels):
    target = IntervalTarget("y")
    target.fit(read({"y": labels}))
    return target


def test_every_spelling_of_a_bound_is_read():
    target = fitted(["10", " 30 ", "20", None])
    labels = [">30", ">= 30", "≥30", "<10", " <= 10", "≤ 10", "20", "NA", "1e1"]
    found = target.encode(read({"y": labels}))
    one = 10 / np.std([10, 20, 30])
    expected = [*[[one, INF]] * 3, *[[-INF, -one]] * 3, [0, 0], [np.nan] * 2, [-one, -one]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_loaded_target_reads_as_before_and_a_note_counts_the_bounds():
    target, again = fitted(["10", "30", ">30", "<5", None]), IntervalTarget("y")
    again.load(json.loads(json.dumps(target.state())))
    rows = read({"y": ["7", ">8"]})
    np.testing.assert_array_equal(again.encode(rows), target.encode(rows))
    assert again.learned() == target.learned()
    assert target.notes == (
        "task 'y': 2 of 4 training labels are bounds; metrics are of the others",
    )
    assert again.predictions(np.array([1.5]))["y"].to_pylist() == [1.5]


def test_numbers_without_a_bound_are_exact_and_a_note_reports_it():
    target = fitted([1.0, 2.0, None])
    assert target.encode(read({"y": [1.5]})).tolist() == [[0, 0]]
    assert "no training label is a bound" in target.notes[0]


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (["1", ">x", "2"], RowError, "has 'x' in row 1, expected a number"),
        (["1", ">", "2"], RowError, "has '>' in row 1, expected a number after the sign"),
        (["1", "inf", "2"], RowError, "is infinite in 1 of 3 rows"),
        ([">1", ">2", "<3"], InputError, "has 0 exact numbers and 3 bounds"),
        (["1", "1", ">1"], InputError, "the same in every training row"),
        ([[1.0], [2.0]], InputError, "expected numbers"),
    ],
)
def test_other_columns_are_refused(labels, error, message):
    with pytest.raises(error, match=message):
        fitted(labels)


def test_without_the_option_a_column_with_bounds_names_it():
    with pytest.raises(InputError, match="regression with censored: auto"):
        NumberTarget("y").fit(read({"y": ["1", ">10", "2"]}))
