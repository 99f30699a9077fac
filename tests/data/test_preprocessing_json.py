"""Preprocessing as JSON: it does the same when it is read back."""

import json

import numpy as np
import pyarrow as pa
import pytest

from motet.data.inference import infer_inputs
from motet.data.inputs.text import Text
from motet.data.preprocessing import Preprocessing
from motet.data.sources import read
from motet.data.targets import ClassTarget, NumberTarget, TagTarget
from motet.problems import InputError
from motet.registry import INPUTS
from tests.data.small_tables import TABLE, made


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
