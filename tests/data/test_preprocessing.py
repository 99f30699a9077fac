"""From a table to arrays and back from JSON."""

import json
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pytest

from motet.data.inference import infer_inputs
from motet.data.inputs.category import Category
from motet.data.inputs.number import Number
from motet.data.inputs.text import Text
from motet.data.inputs.vector import Vector
from motet.data.preprocessing import Preprocessing
from motet.data.sources import read
from motet.data.targets import ClassTarget, IndicatorTarget, NumberTarget, TagTarget
from motet.problems import InputError
from motet.registry import INPUTS

TABLE = read(
    {
        "age": [20.0, None, 40.0, 30.0],
        "job": ["cook", "nurse", "cook", None],
        "clip": np.arange(8.0).reshape(4, 2),
        "size": [1, 2, 3, 4],
        "churn": ["yes", "no", None, "yes"],
        "spend": [1.0, None, 3.0, 5.0],
        "t_a": [1, 0, 1, None],
        "t_b": [0, 1, 1, 1],
    }
)


def made():
    inputs = {
        "age": Number("age"),
        "job": Category("job"),
        "clip": Vector("clip"),
        "size": Number("size", scaling="piecewise", bins=2),
    }
    targets = {
        "churn": ClassTarget("churn"),
        "spend": NumberTarget("spend"),
        "tags": IndicatorTarget("tags", columns="t_*"),
    }
    preprocessing = Preprocessing(inputs, targets)
    preprocessing.fit(TABLE)
    return preprocessing


@pytest.mark.parametrize(
    ("inputs", "targets", "said"),
    [
        ({"n": Number("n", column="job")}, {}, "input 'n': column 'job' has 'cook' in row 0"),
        (
            {"j": Category("j", column="job", size=1, min_count=1)},
            {},
            "input 'j': size: found 1, but",
        ),
        ({}, {"c": ClassTarget("c", column="job", classes=["a", "a"])}, "task 'c': classes: found"),
        ({}, {"s": NumberTarget("s", column="job")}, "task 's': column 'job' has 'cook' in row 0"),
    ],
)
def test_an_error_names_the_input_or_task_and_its_option(inputs, targets, said):
    preprocessing = Preprocessing({"age": Number("age"), **inputs}, targets)
    with pytest.raises(InputError) as caught:
        preprocessing.fit(TABLE)
    assert str(caught.value).startswith(said)


def test_inputs_are_one_matrix_of_numbers_and_one_of_categories():
    preprocessing = made()
    inputs = preprocessing.inputs(TABLE)
    assert {name: (array.dtype, array.shape) for name, array in inputs.items()} == {
        "numbers": (np.float32, (4, 5)),
        "categories": (np.int64, (4, 1)),
    }
    table = preprocessing.shapes().table
    assert table.categories == (3,)
    assert table.names == (
        "age",
        "age_missing",
        "clip_0",
        "clip_1",
        "size",
    )
    np.testing.assert_array_equal(inputs["numbers"][:, 1], [0, 1, 0, 0])


def test_each_column_of_numbers_says_over_which_bins_it_can_be_spread():
    bins = [each and len(each.starts) for each in made().shapes().table.expansions]
    assert bins == [2, None, 3, 3, 2]  # age, age_missing, clip, clip, size


def test_a_kind_of_array_without_columns_is_left_out():
    only = Preprocessing({"job": Category("job")}, {})
    only.fit(TABLE)
    assert list(only.inputs(TABLE)) == ["categories"]


def test_what_was_written_as_json_does_the_same():
    preprocessing = made()
    text = preprocessing.to_json()
    again = Preprocessing.from_json(text)
    assert again.to_json() == text
    for one, other in (
        (preprocessing.inputs(TABLE), again.inputs(TABLE)),
        (preprocessing.targets(TABLE), again.targets(TABLE)),
    ):
        assert list(one) == list(other)
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])
    assert again.shapes() == preprocessing.shapes()
    assert again.strings == preprocessing.strings == ("job", "churn")
    assert again.target("churn").names == ("no", "yes")
    json.loads(text, parse_constant=pytest.fail)  # NaN and Infinity are not JSON


def test_rows_to_predict_need_no_labels_and_tasks_without_columns_are_left_out():
    later = TABLE.drop_columns(["churn", "t_a", "t_b"])
    preprocessing = made()
    assert preprocessing.inputs(later)["numbers"].shape == (4, 5)
    assert list(preprocessing.targets(later)) == ["spend"]


def test_a_task_with_only_some_of_its_columns_is_a_mistake():
    with pytest.raises(InputError, match="task 'tags': the data have no column 't_b'"):
        made().targets(TABLE.drop_columns(["t_b"]))


def test_all_absent_input_columns_are_named_at_once():
    with pytest.raises(InputError, match=r"no column 'age', 'clip'.*; columns: job, size"):
        made().inputs(TABLE.select(["job", "size"]))
    preprocessing = Preprocessing({"job": Category("job")}, {"spend": NumberTarget("spend")})
    with pytest.raises(InputError, match="no column 'job', 'spend'"):
        preprocessing.fit(TABLE.select(["age"]))


def test_a_label_must_not_be_an_input():
    leaking = Preprocessing({"all": Vector("all", columns="t_*")}, {"t_a": ClassTarget("t_a")})
    with pytest.raises(InputError, match="input 'all' reads the column 't_a', which task 't_a'"):
        leaking.fit(TABLE)


def test_errors_of_all_parts_can_be_collected():
    inputs = {"job": Number("job"), "age": Number("age"), "clip": Number("clip")}
    found = []

    @contextmanager
    def at(section, name):
        try:
            yield
        except InputError as error:
            found.append((section, name, str(error)))

    preprocessing = Preprocessing(inputs, {"churn": NumberTarget("churn")})
    preprocessing.fit(TABLE, at)
    assert [where[:2] for where in found] == [
        ("inputs", "job"),
        ("inputs", "clip"),
        ("tasks", "churn"),
    ]


def test_no_input_is_a_mistake():
    with pytest.raises(InputError, match="name at least one column"):
        Preprocessing({}, {})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1, "inputs": {"a": 3}}'])
def test_a_text_of_something_else_is_refused(text):
    with pytest.raises(InputError, match="not what motet writes"):
        Preprocessing.from_json(text)


def test_a_later_version_is_told_apart():
    later = {**json.loads(made().to_json()), "version": 99}
    with pytest.raises(InputError, match="format version 99, expected 1"):
        Preprocessing.from_json(json.dumps(later))


def test_inferred_inputs_of_adult_go_all_the_way():
    table = read("motet://adult")
    guesses = infer_inputs(table, exclude=["income", "hours_per_week", "split"])
    inputs = {each.column: INPUTS[each.type](each.column) for each in guesses}
    targets = {
        "income": ClassTarget("income"),
        "hours": NumberTarget("hours", column="hours_per_week"),
    }
    preprocessing = Preprocessing(inputs, targets)
    preprocessing.fit(table)
    again = Preprocessing.from_json(preprocessing.to_json())
    arrays = again.inputs(table)
    assert len(arrays["numbers"]) == len(arrays["categories"]) == len(table)
    assert np.isfinite(arrays["numbers"]).all()
    assert (arrays["categories"].max(axis=0) < np.array(again.shapes().table.categories)).all()
    assert again.target("income").names == ("<=50K", ">50K")


def test_words_that_cannot_be_read_and_their_tags_are_told_together():
    table = read({"words": [[1, 2], [3]], "tags": [["O", "B-x"], ["O"]]})
    found = []

    @contextmanager
    def at(*place):
        try:
            yield
        except InputError as error:
            found.append((place, str(error)))

    Preprocessing({"words": Text("words")}, {"tags": TagTarget("tags")}).fit(table, at)
    ((place, said),) = found
    assert place == ("inputs", "words")
    assert "lists of numbers, expected texts or lists of words" in said


def test_lists_of_words_in_training_are_texts_in_a_csv_file_later(tmp_path):
    rows = pa.table(
        {"words": [["007", "is", "8"], ["8"]] * 4, "tags": [["1", "0", "1"], ["0"]] * 4}
    )
    words = {"words": Text("words", tokenizer="words", min_count=1)}
    preprocessing = Preprocessing(words, {"tags": TagTarget("tags")})
    preprocessing.fit(rows)
    assert preprocessing.strings == ("words", "tags")
    (tmp_path / "rows.csv").write_text("words,tags\n007,1\n8,0\n")
    again = Preprocessing.from_json(preprocessing.to_json())
    later = read(tmp_path / "rows.csv", strings=again.strings)
    listed = pa.table({"words": [["007"], ["8"]], "tags": [["1"], ["0"]]})
    for given in (later, listed):
        ids = again.inputs(given)["texts"]["words"]["ids"]
        assert ids[0:2].tolist() == again.inputs(listed)["texts"]["words"]["ids"][0:2].tolist()
        assert ids[0:1].tolist() != ids[1:2].tolist()
        assert again.targets(given)["tags"].tolist() == [[1], [0]]
