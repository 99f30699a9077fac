"""Counts in a column."""

import json

import pytest

from motet.data.sources import read
from motet.data.targets import CountTarget
from motet.problems import InputError, RowError


def fitted(labels):
    target = CountTarget("y")
    target.fit(read({"y": labels}))
    return target


def test_counts_keep_their_values_and_predictions_are_numbers():
    target = CountTarget("y")
    target.load(json.loads(json.dumps(fitted([0, 3, None]).state())))
    encoded = target.encode(read({"y": [2, None]}))
    assert encoded[0] == 2
    assert encoded[1] != encoded[1]
    assert target.predictions(encoded[:1])["y"].to_pylist() == [2.0]


@pytest.mark.parametrize(("labels", "found"), [([1, -1], "has -1"), ([0, 2.5], r"has 2\.5")])
def test_what_is_not_a_count_is_refused_with_its_row(labels, found):
    with pytest.raises(RowError, match=f"{found} in row 1, expected counts"):
        fitted(labels)


def test_counts_that_do_not_differ_are_refused():
    with pytest.raises(InputError, match="the same in every training row"):
        fitted([2, 2, None])
