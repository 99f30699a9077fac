"""Categories: the vocabulary, what is unknown and what is missing."""

import hashlib
import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.data.inputs.category import Category, _hashed
from motet.problems import InputError

TEXTS = st.lists(st.text(max_size=3) | st.none(), min_size=1, max_size=30)


def fitted(values, **options):
    category = Category("c", **options)
    category.observe(pa.table({"c": values}))
    category.finish()
    return category


def indices(category, values):
    return category.apply(pa.table({"c": pa.array(values)}))[0]["categories"][:, 0].tolist()


def test_unknown_is_0_missing_is_1_and_values_follow_sorted():
    category = fitted(["b", "a", "b", "a", "once", None])
    assert indices(category, ["a", "b", "once", "new", None]) == [2, 3, 0, 0, 1]
    assert category.shape().categories == (4,)


def test_rows_with_rare_or_unseen_values_are_counted_and_missing_ones_are_not():
    category = fitted(["b", "a", "b", "a", "once", None])

    def notes(values):
        return list(category.apply(pa.table({"c": values}))[1].lines("input 'c'"))

    assert notes(["a", "once", "new", None]) == [
        "input 'c': 2 of 4 rows have a value that was rare (min_count) or unseen in training"
    ]
    assert notes(["a", None]) == []


def test_min_count_says_how_often_a_value_must_occur():
    assert fitted(["a", "b", "b", "c", "c", "c"], min_count=1).shape().categories == (5,)
    assert fitted(["a", "b", "b", "c", "c", "c"], min_count=3).shape().categories == (3,)


@pytest.mark.parametrize(
    ("training", "later"),
    [
        ([3, 3, 4, 4], [3.0, None, 4.0]),
        ([3.0, 3.0, None, 4.0, 4.0], [3, None, 4]),
        ([3, 3, 4, 4], ["3", None, "4"]),
        ([True, True, False, False], ["true", None, "false"][::-1]),
        ([10**15, 10**15, 2 * 10**15, 2 * 10**15], [1e15, None, 2e15]),
    ],
)
def test_equal_values_agree_whatever_type_they_are_stored_in(training, later):
    assert indices(fitted(training), later) == [2, 1, 3]


def test_numbers_that_are_not_whole_keep_their_digits():
    category = fitted([0.5, 0.5, 1.0, 1.0])
    assert indices(category, np.float32([0.5, 1.0, 1.25])) == [2, 3, 0]


def test_a_column_without_any_value_is_missing_throughout():
    assert indices(fitted(["a", "a"]), [None, None]) == [1, 1]


def test_dates_are_categories_when_asked_for_and_lists_are_not():
    days = pa.array([1, 1, 2, 2], pa.int32()).cast(pa.date32())
    assert fitted(days).shape().categories == (4,)
    with pytest.raises(InputError, match="column 'c' holds lists of texts"):
        fitted([["a"]])


def test_a_column_without_a_training_value_is_refused():
    with pytest.raises(InputError, match="no value in the 1 training rows"):
        fitted(pa.array([None], pa.string()))


@given(training=TEXTS.filter(any), later=TEXTS, min_count=st.integers(1, 3))
def test_every_index_fits_the_size_and_survives_loading(training, later, min_count):
    category = fitted(training, min_count=min_count)
    loaded = Category("c")
    loaded.load(json.loads(json.dumps(category.state(), allow_nan=False)))
    found = indices(category, later)
    assert indices(loaded, later) == found
    assert loaded.shape().categories == category.shape().categories
    for value, index in zip(later, found, strict=True):
        assert index < category.shape().categories[0]
        assert (index == 1) == (value is None)
        assert (index == 0) == (value is not None and training.count(value) < min_count)


def test_size_is_how_many_values_may_have_an_index_of_their_own():
    category = fitted(["a", "a", "b", "b", "once"], size=2)
    assert category.shape().categories == (4,)
    assert fitted(["a", "a"], size=7).shape().categories == (9,)
    with pytest.raises(InputError, match="size: found 2, but column 'c' has 3 values"):
        fitted(["a", "a", "b", "b", "c", "c"], size=2)


def test_size_is_kept_with_what_was_learned():
    category = Category("c")
    category.load(json.loads(json.dumps(fitted(["a", "a"], size=7).state())))
    assert category.shape().categories == (9,)


# Hashed ------------------------------------------------------------------------------------------


def hashed(values, /, **options):
    category = Category("c", **options)
    category.observe(pa.table({"c": pa.array(values, pa.string())}))
    category.finish()
    return category


def test_hashed_values_have_the_same_bucket_everywhere_and_no_list_is_kept():
    # BLAKE2b is the same on every machine: the first eight bytes, little-endian, modulo 1000
    digest = hashlib.blake2b(b"cook", digest_size=8).digest()
    expected = int.from_bytes(digest, "little") % 1000 + 2
    category = hashed(["cook", "nurse", None], hash=1000)
    later = pa.table({"c": ["cook", None, "pilot", "cook"]})
    found = category.apply(later)[0]["categories"][:, 0]
    assert found.tolist()[:2] == [expected, 1]
    assert found[3] == expected
    assert 2 <= found[2] < 1002
    assert category.state()["values"] == []
    assert category.shape().categories == category.declared().categories == (1002,)


def test_several_hashes_tell_values_apart_that_share_a_bucket():
    values = [str(value) for value in range(300)]
    category = hashed(values, hash=20, hashes=3)
    found = category.apply(pa.table({"c": values}))[0]["categories"]
    assert found.shape == (300, 3)
    assert len(np.unique(found[:, 0])) == 20
    assert len(np.unique(found, axis=0)) > 290
    assert category.shape().categories == (22, 22, 22)


def test_buckets_are_used_evenly():
    values = [f"customer {value}" for value in range(20_000)]
    counts = np.bincount(_hashed(pa.chunked_array([values]), 100, 1)[:, 0], minlength=102)[2:]
    assert counts.sum() == 20_000
    assert 10 < counts.std() < 18  # binomial: 14.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hashes": 2}, "applies only with hash"),
        ({"hash": 5, "size": 3}, "not supported with hash"),
        ({"hash": 5, "min_count": 3}, "not supported with hash"),
        ({"hash": 5, "hashes": 9}, "expected at most 8"),
        ({"hash": 10**20}, "hash: found 100000000000000000000, expected at most 2147483648"),
        ({"hash": 1}, "found 1, expected a number >= 2"),
    ],
)
def test_options_that_hashing_does_not_use_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        Category("c", **options)


def test_a_hashed_column_without_values_is_an_error():
    with pytest.raises(InputError, match="has no value in the 2 training rows"):
        hashed([None, None], hash=5)


def test_too_many_values_are_an_error_that_recommends_hashing(monkeypatch):
    monkeypatch.setattr("motet.data.inputs.frequent_values.MOST", 3)
    with pytest.raises(InputError, match=r"more than 3 different values.*hash them"):
        hashed(list("abcd"))
    monkeypatch.setattr("motet.data.inputs.category._MANY", 1)
    assert "hash: 100000 takes less memory" in hashed(list("aabb")).notes[0]
