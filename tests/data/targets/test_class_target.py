"""Class labels: which classes there are, what is missing, what type predictions come back in."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.data.empty import is_empty
from motet.data.sources import read
from motet.data.targets import ClassTarget
from motet.problems import InputError

LABELS = st.one_of(
    st.lists(st.text(max_size=3).filter(lambda text: not is_empty(text)) | st.none(), max_size=30),
    st.lists(st.integers(-50, 50) | st.none(), max_size=30),
    st.lists(st.booleans() | st.none(), max_size=30),
).filter(lambda labels: len({label for label in labels if label is not None}) > 1)


def fitted(labels, **options):
    target = ClassTarget("y", **options)
    target.fit(read({"y": labels}))
    return target


def codes(target, labels):
    return target.encode(read({"y": labels})).tolist()


@given(LABELS)
def test_predicting_the_labels_themselves_gives_them_back_in_their_type(labels):
    target = fitted(labels)
    loaded = ClassTarget("y")
    loaded.load(json.loads(json.dumps(target.state(), allow_nan=False)))
    encoded = loaded.encode(read({"y": labels}))
    assert encoded.tolist() == codes(target, labels)
    assert encoded.dtype == np.int64
    known = [label for label in labels if label is not None]
    assert (encoded == -100).tolist() == [label is None for label in labels]
    back = loaded.predictions(encoded[encoded >= 0])["y"].to_pylist()
    assert back == known
    assert [type(label) for label in back] == [type(label) for label in known]
    assert list(target.values) == sorted(set(known))
    assert loaded.unseen(read({"y": labels})) == {}


def test_whole_numbers_in_a_column_with_gaps_are_integers_sorted_as_numbers():
    target = fitted([10.0, None, 9.0])
    assert target.values == (9, 10)
    assert target.names == ("9", "10")
    assert codes(target, [9, 10]) == codes(target, ["9", "10"]) == [0, 1]
    assert target.predictions(np.array([1]))["y"].type == pa.int64()


def test_a_few_numbers_that_are_not_whole_are_classes():
    assert fitted([0.5, 1.0, 1.5]).names == ("0.5", "1", "1.5")


def test_labels_that_training_did_not_have_are_not_labelled_and_are_counted():
    target = fitted(["a", "b"])
    assert codes(target, ["b", "c", None, "c", "d"]) == [1, -100, -100, -100, -100]
    assert target.unseen(read({"y": ["b", "c", None, "c", "d"]})) == {"c": 2, "d": 1}


def test_probabilities_have_a_column_per_class():
    target = fitted([True, False])
    found = target.predictions(np.array([1]), np.float32([[0.25, 0.75]]))
    assert {name: column.to_pylist() for name, column in found.items()} == {
        "y": [True],
        "y_probability_false": [0.25],
        "y_probability_true": [0.75],
    }


@pytest.mark.parametrize(
    ("labels", "classes", "values"),
    [
        (["b", "a"], ["b", "a", "c"], ("b", "a", "c")),
        ([2, 0], 4, (0, 1, 2, 3)),
        ([2, 0], ["2", "1", "0"], (2, 1, 0)),
        ([2.0, 0.0, None], [0, 2], (0, 2)),
        (["b", "a"], 2, ("a", "b")),
        ([True, False], ["true", "false"], (True, False)),
    ],
)
def test_classes_may_be_given_in_an_order_of_their_own(labels, classes, values):
    assert fitted(labels, classes=classes).values == values


@pytest.mark.parametrize(
    ("labels", "classes", "said"),
    [
        ([None, None], None, "has no label in the 2 training rows"),
        (["a", "a", None], None, "is 'a' in every labelled training row"),
        (np.arange(101) / 7, None, "101 distinct values is not a class; use type: regression"),
        (range(1001), None, "1,001 distinct values, expected at most 1,000 classes; use type: reg"),
        ([f"{i}x" for i in range(1001)], None, "classes; list them in classes"),
        ([0.5, np.inf], None, "infinite in 1 of 2 rows"),
        (["yes", "no", "noo"], ["yes", "no"], "has 'noo', which classes does not name (did you m"),
        (["a", "b"], 3, "has 2 classes (a, b), expected 3"),
        ([0, 7], 10**30, "000,000, expected at most 100,000"),
        ([[0.5, 0.5]], 10**10, "classes: found 10,000,000,000, expected at most 100,000"),
        ([0, 7], 3, "has '7', which classes does not name"),
        ([0, 1], ["zero", "one"], "holds numbers, but classes names 'zero'"),
        (np.array(["2020-01-01"], "M8[D]"), None, "holds dates, expected classes"),
    ],
)
def test_labels_that_are_no_classes_are_refused(labels, classes, said):
    with pytest.raises(InputError) as caught:
        fitted(list(labels) if isinstance(labels, range) else labels, classes=classes)
    assert said in str(caught.value)
    assert "column 'y'" in str(caught.value) or caught.value.option == "classes"


def test_many_classes_are_right_if_they_are_given():
    assert len(fitted(list(range(1001)), classes=1001).values) == 1001


def test_an_absent_label_column_is_named():
    with pytest.raises(InputError, match=r"task 'y': the data have no column 'z'"):
        ClassTarget("y", column="z").fit(read({"y": [1]}))


def test_soft_labels_are_shares_and_a_row_without_all_is_missing():
    table = read({"y": [[0.25, 0.75], None, [1.0, None]]})
    target = ClassTarget("y", classes=["no", "yes"])
    target.fit(table)
    encoded = target.encode(table)
    assert encoded.dtype == np.float32
    np.testing.assert_array_equal(encoded, [[0.25, 0.75], [np.nan] * 2, [np.nan] * 2])
    loaded = ClassTarget("y")
    loaded.load(json.loads(json.dumps(target.state())))
    np.testing.assert_array_equal(loaded.encode(table), encoded)
    assert loaded.predictions(np.array([1]))["y"].to_pylist() == ["yes"]


def test_soft_labels_without_names_are_numbered():
    target = fitted(np.eye(3))
    assert target.names == ("0", "1", "2")


@pytest.mark.parametrize(
    ("labels", "classes", "said"),
    [
        ([[0.5, 0.6]], None, "shares 0.5, 0.6 in row 0, expected numbers >= 0 that add up to 1"),
        ([[0.5, 0.5], [1.5, -0.5]], None, "in row 1"),
        ([[0.5, 0.5], [1.0]], None, "list of 1 in row 1, expected 2"),
        ([[0.5, 0.5]], ["a", "b", "c"], "lists of 2 shares, but classes has 3"),
        ([[1.0]], None, "lists of one share"),
    ],
)
def test_soft_labels_that_are_no_shares_are_refused(labels, classes, said):
    with pytest.raises(InputError) as caught:
        fitted(labels, classes=classes)
    assert said in str(caught.value)
