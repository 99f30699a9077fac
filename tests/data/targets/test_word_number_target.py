"""Numbers of words in a column."""

import json

import numpy as np
import pyarrow as pa
import pytest

from motet.data.inference import infer_tasks
from motet.data.inputs.text import Text
from motet.data.sources import read
from motet.data.targets import WordNumberTarget
from motet.problems import InputError, RowError


def fitted(labels, **inputs):
    target = WordNumberTarget("y")
    target.fit(read({"y": labels}), inputs)
    return target


def test_lists_and_texts_are_read_alike_and_come_back():
    target, again = fitted([[1.0, 3.0], None, [1, None, 3]]), WordNumberTarget("y")
    again.load(json.loads(json.dumps(target.state())))
    expected = [[0, 1, np.nan], [np.nan] * 3, [-1, np.nan, np.nan]]
    for labels in ([[2, 3], None, [1.0]], ["2 3.0", None, "[1.0]"], ["[2, 3, null]", None, "1"]):
        found = again.encode(read({"y": labels}))
        width = found.shape[1]
        np.testing.assert_array_equal(found, np.array(expected, np.float32)[:, :width])
    back = again.predictions(np.array([[2.5, 3.0], [1.0, np.nan]]))["y"]
    assert back.to_pylist() == [[2.5, 3.0], [1.0]]


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (["1 2", "x 3"], RowError, "has 'x' in row 1, expected a number"),
        ([[1.0, 2.0], [np.inf]], RowError, "infinite"),
        ([[1.0], [1.0, 1.0]], InputError, "the same in every training row"),
        ([1.0, 2.0], InputError, "holds numbers, expected lists of numbers, one per word"),
    ],
)
def test_other_columns_are_refused(labels, error, message):
    with pytest.raises(error, match=message):
        fitted(labels)


def test_each_word_needs_a_number():
    rows = read({"text": [["to", "Rome"], ["go"]], "y": [[1.0, 2.0], [1.0, 2.0]]})
    text = Text("text")
    text.observe(rows)
    text.finish()
    target = WordNumberTarget("y")
    target.fit(rows, {"text": text})
    with pytest.raises(RowError, match="has 2 numbers in row 1, where input 'text' has 1 words"):
        target.encode(rows, {"text": text})


def test_lists_that_align_with_words_are_recognised():
    rows = pa.table({"text": ["to Rome", "go", "a b c"], "y": [[0.1, 0.2], [0.3], [0.1, 0.2, 0.3]]})
    (guess,) = infer_tasks(rows, ["y"])
    assert (guess.type, guess.reason) == ("word_regression", "a number for each word of 'text'")
    assert WordNumberTarget.labelled_text(rows, "y") == "text"
