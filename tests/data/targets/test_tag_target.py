"""Labels that are a list of tags per row: from lists and from texts, to places and back."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.data.inputs.text import Text
from motet.data.preprocessing import Preprocessing
from motet.data.sources import read
from motet.data.targets import TagTarget
from motet.problems import InputError

NAMES = ["B-a", "B-b", "I-a", "O"]
ROW = st.none() | st.lists(st.none() | st.sampled_from(NAMES), max_size=6)
ROWS = st.lists(ROW, min_size=1, max_size=10)


def fitted(data, /, **options):
    target = TagTarget("tags", **options)
    target.fit(read(data))
    return target


@given(ROWS)
def test_lists_of_tags_come_back_as_they_were(rows):
    data = {"tags": pa.array(rows, pa.list_(pa.string()))}
    target = fitted({"tags": [NAMES]})
    loaded = TagTarget("tags")
    loaded.load(json.loads(json.dumps(target.state(), allow_nan=False)))
    encoded = loaded.encode(pa.table(data))
    assert encoded.shape == (len(rows), max(1, *(len(row or []) for row in rows), 0))
    for row, found in zip(rows, encoded, strict=True):
        places = [-100 if tag is None else NAMES.index(tag) for tag in row or []]
        assert found.tolist() == places + [-100] * (len(found) - len(places))
    back = loaded.predictions(encoded)["tags"].to_pylist()
    assert back == [[tag for tag in row or [] if tag is not None] for row in rows]


def test_tags_in_iob1_are_recognised_and_converted_to_bio():
    rows = [["O", "I-x", "I-x", "B-x"], None, ["I-y", "I-x"], ["I-x", None, "I-x"]]
    target = fitted({"tags": rows})
    assert target.names == ("B-x", "B-y", "I-x", "O")
    loaded = TagTarget("tags")
    loaded.load(json.loads(json.dumps(target.state())))
    encoded = loaded.encode(read({"tags": rows}))
    assert loaded.predictions(encoded)["tags"].to_pylist() == [
        ["O", "B-x", "I-x", "B-x"],
        [],
        ["B-y", "B-x"],
        ["B-x", "B-x"],
    ]
    assert target.notes == (
        "task 'tags': the tags are IOB1, where B only separates two spans of one type; they are "
        "converted to BIO, of 2 types",
    )


@pytest.mark.parametrize(
    ("rows", "options"),
    [
        ([["B-x", "I-x", "O"], ["O", "I-x"]], {}),  # BIO with a mistake: B after nothing
        ([["O", "I-x", "B-x"]], {"scheme": "bio"}),
    ],
)
def test_tags_that_may_be_bio_with_mistakes_are_not_converted(rows, options):
    target = fitted({"tags": [*rows, None]}, **options)
    found = target.predictions(target.encode(read({"tags": rows})))["tags"].to_pylist()
    assert found == rows
    assert f"1 of {len(rows)} labelled training rows are not valid BIO" in target.notes[-1]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_every_kind_of_file_can_hold_tags(tmp_path, suffix):
    path = tmp_path / f"data{suffix}"
    rows = [["O", "B-x", "I-x"], ["B-x"], None]
    if suffix == ".csv":
        path.write_text("n,tags\n1,O B-x I-x\n2, B-x \n3,\n")
    elif suffix == ".jsonl":
        path.write_text("".join(json.dumps({"n": 1, "tags": row}) + "\n" for row in rows))
    else:
        pa.parquet.write_table(pa.table({"n": [1, 2, 3], "tags": rows}), path)
    table = read(path)
    target = TagTarget("tags")
    target.fit(table)
    assert target.names == ("B-x", "I-x", "O")
    found = target.encode(table)
    np.testing.assert_array_equal(found, [[2, 0, 1], [0, -100, -100], [-100] * 3])
    assert target.lengths(table).tolist() == [3, 1, -1]


def test_tags_that_are_whole_numbers_stay_so():
    target = fitted({"tags": [[3, 10, 3], [0]]})
    assert target.names == ("0", "3", "10")
    found = target.predictions(target.encode(read({"tags": [[10, 0], []]})))
    assert found["tags"].to_pylist() == [[10, 0], []]
    assert found["tags"].type.value_type == pa.int64()
    assert fitted({"tags": [[0, 2]]}, classes=4).names == ("0", "1", "2", "3")


def test_predictions_hold_spans_with_the_places_of_words():
    target = fitted({"tags": [["O", "B-a", "I-a", "B-b", "I-b"]]})
    value = target.encode(read({"tags": [["O", "B-a", "I-a", "B-b"], [], ["O"]]}))
    found = target.predictions(value)
    assert found["tags_spans"].to_pylist() == [
        [{"type": "a", "start": 1, "end": 3}, {"type": "b", "start": 3, "end": 4}],
        [],
        [],
    ]
    assert target.prediction_names(["tags"]) == ["tags", "tags_spans", "tags_true"]
    plain = fitted({"tags": [["NOUN", "VERB"]]})
    assert list(plain.predictions(np.array([[0]]))) == ["tags"]
    assert plain.prediction_names(["tags"]) == ["tags", "tags_true"]


def test_the_scheme_that_was_found_is_told_and_one_that_was_given_is_held_to():
    assert fitted({"tags": [NAMES]}).notes[0] == "task 'tags': the tags are BIO, of 2 types"
    assert "are plain" in fitted({"tags": [["NOUN", "VERB"]]}).notes[0]
    assert fitted({"tags": [["O", "B-a"]]}, scheme="bio").notes == ()
    assert fitted({"tags": [["O", "B-a"]]}, scheme="plain").notes == ()
    with pytest.raises(InputError, match="scheme: found bioes, but there is the tag 'NOUN'"):
        fitted({"tags": [["NOUN", "O"]]}, scheme="bioes")


def test_rows_that_break_the_scheme_are_told():
    target = fitted({"tags": [["O", "B-a"], ["I-a", "O"]]}, scheme="bio")
    assert "1 of 2 labelled training rows are not valid BIO, first 'I-a O'" in target.notes[0]
    cut = fitted({"tags": [["O", "B-a"], ["B-a", None], ["E-a"]]}, scheme="bioes")
    assert "2 of 3 labelled training rows are not valid BIOES, first 'O B-a'" in cut.notes[0]


def test_tags_that_training_did_not_have_count_as_missing_and_are_told_with_their_row():
    target = fitted({"tags": [["O", "B-a"]]})
    table = read({"tags": [["O"], None, ["O", "B-z", "B-z"]]})
    assert target.encode(table)[2].tolist() == [1, -100, -100]
    assert target.unseen(table) == {"B-z": 2}
    assert target.first_row(table, "B-z") == 2
    column = pa.array([["O", "O"], None, ["O", "B-z"]], pa.list_(pa.string(), 2))
    assert target.first_row(pa.table({"tags": column}), "B-z") == 2


def test_rows_with_another_number_of_words_than_tags_are_named():
    preprocessing = Preprocessing({"text": Text("text")}, {"tags": TagTarget("tags")})
    tags, texts = [["O"], None, ["O", "B-a"], []], [["a"], ["a"] * 9, ["a", "b"], []]
    preprocessing.fit(read({"tags": tags, "text": texts}))
    assert preprocessing.targets(read({"tags": tags, "text": texts}))["tags"].shape == (4, 2)
    longer = read({"tags": tags, "text": [*texts[:2], ["a", "b", "c"], []]})
    with pytest.raises(InputError, match="has 2 tags in row 2, where input 'text' has 3 words"):
        preprocessing.targets(longer)


def test_at_evaluation_a_column_without_any_tag_is_not_labelled():
    target = fitted({"tags": [["O", "B-a"]]})
    assert target.encode(pa.table({"tags": pa.nulls(2)})).tolist() == [[-100], [-100]]
    assert target.encode(pa.table({"tags": pa.array([[], None])})).tolist() == [[-100], [-100]]
    assert target.encode(pa.table({"tags": pa.array([], pa.string())})).shape == (0, 1)


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ({"tags": [1.5, 2.5]}, {}, "holds numbers, expected lists of tags"),
        ({"tags": [[1.5]]}, {}, "holds lists of numbers, expected lists of tags"),
        ({"tags": [[], None]}, {}, "has no tag in the 2 training rows"),
        ({"tags": [["O", "O"]]}, {}, "has 'O' for every labelled word"),
        ({"tags": [["O", "B-a"]]}, {"classes": ["O", "B-b"]}, "'B-a', which classes does not name"),
        ({"tags": [["O", "B-a"]]}, {"classes": 3}, "has 2 tags .B-a, O., expected 3"),
        ({"tags": [[*map(str, range(1001))]]}, {}, "1,001 different tags, expected at most 1,000"),
        ({"other": [["O"]]}, {}, "have no column 'tags'"),
    ],
)
def test_what_cannot_be_learned_from_is_told(data, options, message):
    with pytest.raises(InputError, match=message):
        fitted(data, **options)
