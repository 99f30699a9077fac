"""Labels of which a row has any number, from three layouts of the data."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.data.sources import read
from motet.data.targets import IndicatorTarget
from motet.problems import InputError

LABELS = st.lists(
    st.none() | st.sets(st.sampled_from("abcd")).map(sorted), min_size=1, max_size=20
).filter(any)
NAN = np.nan


def fitted(data, /, **options):
    target = IndicatorTarget("tags", **options)
    target.fit(read(data))
    return target


@given(LABELS)
def test_lists_of_labels_come_back_as_they_were(labels):
    target = fitted({"tags": labels})
    loaded = IndicatorTarget("tags")
    loaded.load(json.loads(json.dumps(target.state(), allow_nan=False)))
    encoded = loaded.encode(read({"tags": labels}))
    assert encoded.dtype == np.float32
    assert np.isnan(encoded).all(axis=1).tolist() == [label is None for label in labels]
    known = [label for label in labels if label is not None]
    back = loaded.predictions(encoded[~np.isnan(encoded).any(axis=1)])
    assert back["tags"].to_pylist() == known


@pytest.mark.parametrize("options", [{"columns": "t_*"}, {"columns": ["t_a", "t_b"]}])
def test_columns_of_zeros_and_ones_may_miss_single_labels(options):
    target = fitted({"t_a": [1, 0, None], "t_b": [True, None, False], "x": [1, 2, 3]}, **options)
    assert target.names == ("t_a", "t_b")
    found = target.encode(read({"t_b": [1.0, None], "t_a": [0, 1], "t_c": [9, 9]}))
    np.testing.assert_array_equal(found, [[0, 1], [1, NAN]])


def test_a_matrix_of_zeros_and_ones_has_numbered_labels_or_given_ones():
    matrix = np.array([[0, 1], [1, 1]])
    assert fitted({"tags": matrix}).names == ("0", "1")
    target = fitted({"tags": matrix}, labels=["a", "b"])
    np.testing.assert_array_equal(
        target.encode(read({"tags": [[1, 0], None]})), [[1, 0], [NAN] * 2]
    )


def test_predictions_are_a_list_of_labels_and_a_probability_each():
    target = fitted({"t_a": [1, 0], "t_b": [0, 1]}, columns="t_*")
    found = target.predictions(np.array([[1, 1], [0, 0]]), np.array([[0.75, 0.5], [0.25, 0.0]]))
    assert {name: column.to_pylist() for name, column in found.items()} == {
        "tags": [["t_a", "t_b"], []],
        "tags_probability_t_a": [0.75, 0.25],
        "tags_probability_t_b": [0.5, 0.0],
    }


def test_labels_that_training_did_not_have_are_left_out_and_counted():
    target = fitted({"tags": [["a"], ["b"]]})
    later = read({"tags": [["a", "z"], ["z"]]})
    assert target.encode(later).tolist() == [[1, 0], [0, 0]]
    assert target.unseen(later) == {"z": 2}


def test_a_label_without_a_positive_is_noted():
    target = fitted({"tags": [["a"], []]}, labels=["a", "b"])
    assert target.notes == ("task 'tags': no training row has 'b'",)
    assert fitted({"tags": [["a"], []]}).notes == ()


def test_slices_and_chunks_are_read_row_by_row():
    table = read({"tags": [["a"], None, [], ["b", "a"]]})
    target = IndicatorTarget("tags")
    target.fit(table)
    whole = target.encode(table)
    np.testing.assert_array_equal(target.encode(table.slice(1, 3)), whole[1:])
    np.testing.assert_array_equal(target.encode(table.take([3, 1, 0])), whole[[3, 1, 0]])


def test_lists_of_one_size_of_which_one_is_missing_are_read_row_by_row():
    target = fitted({"tags": [["a"], ["b"]]})
    column = pa.array([["a", "b"], None, ["b", "b"]], pa.list_(pa.string(), 2))
    found = target.encode(pa.table({"tags": column}))
    np.testing.assert_array_equal(found, [[1, 1], [NAN, NAN], [0, 1]])


def test_lists_of_other_things_later_are_refused():
    target = fitted({"tags": [["a"], ["b"]]})
    with pytest.raises(InputError, match="holds lists of nested objects, expected lists of texts"):
        target.encode(read({"tags": [[{"a": 1}]]}))


def test_rows_without_any_label_later_are_not_labelled():
    found = fitted({"tags": [["a"], []]}).encode(read({"tags": [None, None]}))
    assert np.isnan(found).all()
    assert fitted({"tags": [["a"], []]}).encode(read({"tags": [[], []]})).tolist() == [[0], [0]]


def test_cells_of_a_csv_file_are_lists_of_labels():
    target = fitted({"tags": ["red big", "[]", None, '["very good"]']})
    assert target.names == ("big", "red", "very good")
    assert target.encode(read({"tags": ["big red", "[]", " "]}))[:2].tolist() == [
        [1, 1, 0],
        [0, 0, 0],
    ]
    assert np.isnan(target.encode(read({"tags": ["red", None]}))[1]).all()
    assert target.notes == (
        "task 'tags': column 'tags' holds texts, read as labels separated by spaces",
    )


def test_labels_between_separators_keep_their_spaces():
    cells = ["red, very big", "red", None, "[]", '["a, b"]', "big,red,"]
    target = fitted({"tags": cells}, separator=",")
    assert target.names == ("a, b", "big", "red", "very big")
    assert target.encode(read({"tags": ["very big ,red", "[]"]})).tolist() == [
        [0, 0, 1, 1],
        [0, 0, 0, 0],
    ]
    assert target.notes == ()
    assert target.unseen(read({"tags": ["red,new", "new"]})) == {"new": 2}
    later = IndicatorTarget("tags")
    later.load(target.state())
    assert later.encode(read({"tags": ["very big,red"]})).tolist() == [[0, 0, 1, 1]]
    assert fitted({"tags": ["a,b c", "c"]}, separator=" ").names == ("a,b", "c")
    (note,) = fitted({"tags": ["a", "b"]}, separator="|").notes
    assert note == (
        "task 'tags': no training row contains the separator '|', so each text is one value"
    )


@pytest.mark.parametrize(
    ("data", "options", "said"),
    [
        ({"tags": [True, False]}, {}, "holds truth values, expected lists of labels"),
        ({"tags": [[0, 2]]}, {}, "label '1' is 2 in row 0, expected 0 or 1"),
        ({"t_a": [0, 0.5]}, {"columns": "t_*"}, "label 't_a' is 0.5 in row 1"),
        ({"t_a": ["yes"]}, {"columns": "t_*"}, "has 'yes' in row 0, expected a number"),
        ({"tags": [["a"]]}, {"labels": ["b"]}, "label 'a', which classes does not name"),
        ({"tags": [["a"]]}, {"labels": 2}, "has 1 labels (a), expected 2"),
        ({"t_a": [0]}, {"columns": "t_*", "labels": ["x", "y"]}, "expected 1"),
        ({"tags": [None, []]}, {}, "has no label in the training rows"),
        ({"t_a": [None, None]}, {"columns": "t_*"}, "has no label in the 2 training rows"),
        ({"a": [1]}, {"columns": "t_*"}, "no column matches 't_*'"),
        (
            {"tags": ["red, big", "red"]},
            {},
            "separator: found none, so that texts are split at white space, but 1 of 2 texts in "
            "column 'tags' contain ','; give separator: ','",
        ),
        ({"tags": [["a"]]}, {"separator": ","}, "but column 'tags' holds lists; remove it"),
        ({"tags": ["a"]}, {"separator": ""}, "expected what separates values"),
    ],
)
def test_labels_that_are_no_indicators_are_refused(data, options, said):
    with pytest.raises(InputError) as caught:
        fitted(data, **options)
    assert said in str(caught.value)
