"""Texts as inputs: tokens in rows of their own length, and what is said of odd columns."""

import json

import pyarrow as pa
import pytest

from motet.data.inputs.text import Text
from motet.data.sources import read
from motet.problems import InputError

TEXTS = ["Good shoes, bad laces", "good good", None, "bad"]


def fitted(values=TEXTS, name="review", **options):
    text = Text(name, **{"min_count": 1, "tokenizer": "words", **options})
    text.observe(read({name: values}))
    text.finish()
    return text


def message(values, **options):
    with pytest.raises(InputError) as caught:
        fitted(values, **options)
    return str(caught.value)


def notes(text, columns):
    return list(text.apply(pa.table(columns))[1].lines(f"input {text.name!r}"))


def rows(text, values):
    found, _ = text.apply(read({text.name: values}))
    return {
        kind: [[int(v) for v in each[i : i + 1][0]] for i in range(len(each))]
        for kind, each in found.items()
    }


def test_a_saved_input_gives_the_same_tokens_for_later_texts():
    text = fitted()
    again = Text("review")
    again.load(json.loads(json.dumps(text.state())))
    later = ["good boots", None, "", " \t", "laces " * 500]
    assert rows(again, later) == rows(text, later)
    assert again.shape() == text.shape()


def test_nothing_of_later_texts_is_learned():
    text = fitted()
    before = text.state()
    rows(text, ["boots and hats"])
    assert text.state() == before


def test_empty_and_missing_texts_are_the_same_and_have_only_the_first_token():
    assert rows(fitted(), ["", None, "   "]) == {"ids": [[2], [2], [2]]}


def test_a_pair_has_segments_and_a_missing_part_is_empty():
    table = read({"title": ["good", None], "body": ["bad bad", "good"]})
    text = Text("review", columns=["title", "body"], tokenizer="words", min_count=1)
    text.observe(table)
    text.finish()
    found, _ = text.apply(table)
    assert found["segments"][0:2].tolist() == [[0, 0, 0, 1, 1], [0, 0, 1, 0, 0]]
    assert text.shape().segments == 2


@pytest.mark.parametrize(
    ("values", "options"),
    [
        ([["New", "York,"], [], None, ["a"]], {}),
        (["New York,", "", None, " a "], {"split": "spaces"}),
    ],
)
def test_words_are_given_as_lists_or_separated_by_spaces(values, options):
    text = fitted(values, **options)
    assert text.shape().words
    found = rows(text, values)
    assert found["words"] == [[1, 2], [-1], [-1], [1]]
    assert found["ids"][0][3] != found["ids"][0][2]  # the comma is a token of the second word


def test_an_input_of_lists_also_reads_texts_and_knows_where_their_words_are():
    text = fitted([["new", "york"], ["a"]])
    places = text.word_places(pa.table({"review": ["  new\tyork ", None]}))
    assert places.counts.tolist() == [2, 0]
    assert places.starts == [[2, 6], []]
    assert places.ends == [[5, 10], []]
    given = text.word_places(pa.table({"review": [["new", "york"], ["über", "", "a"]]}))
    assert given.lines == ["new york", "über  a"]
    assert given.starts == [[0, 4], [0, 5, 6]]
    assert given.ends == [[3, 8], [4, 5, 7]]


def test_numbers_are_converted_to_text_and_a_note_reports_it():
    text = fitted([12, 12, None])
    assert notes(text, {"review": [12]}) == [
        "input 'review': column 'review' holds no texts, its values are converted to text"
    ]
    assert rows(text, ["12"]) == rows(text, [12]) == {"ids": [[2, 5]]}


def test_each_column_of_a_pair_that_holds_no_texts_is_noted():
    table = read({"title": ["good", "bad"], "year": [1999, 2001]})
    text = Text("review", columns=["title", "year"], tokenizer="words", min_count=1)
    text.observe(table)
    text.finish()
    assert [each.partition(" holds")[0] for each in text.apply(table)[1].remarks] == [
        "column 'year'"
    ]


def test_what_is_cut_off_is_counted():
    text = fitted(max_length=3)
    note, _ = notes(text, {"review": TEXTS})
    assert note.startswith("input 'review': 1 of 4 rows have more than 3 tokens")


@pytest.mark.parametrize(
    ("values", "later"),
    [
        (["a b", "a b"], ["a", "", None, "  ", "unknown"]),
        ([["a"], ["a"]], [["a"], [], None, [], ["unknown"]]),
    ],
)
def test_rows_without_a_text_are_counted_in_what_was_read_last(values, later):
    text = fitted(values)
    assert notes(text, {"review": later}) == ["input 'review': 3 of 5 rows have no text"]
    assert notes(text, {"review": later[:1]}) == []


def test_a_pair_has_no_text_if_both_its_parts_are_empty():
    text = Text("pair", columns=("title", "text"), tokenizer="words", min_count=1)
    text.observe(pa.table({"title": ["a"], "text": ["b"]}))
    text.finish()
    found = notes(text, {"title": ["a", "", None], "text": ["", "b", ""]})
    assert found == ["input 'pair': 1 of 3 rows have no text"]


def test_columns_that_hold_no_text_are_refused():
    assert "no word in the 3 training rows" in message([None, "", "  "])
    assert "no word in the 2 training rows" in message([[], [""]])
    assert "lists of numbers, expected texts or lists of words" in message([[1, 2], [3]])
    assert "holds bytes, expected texts" in message([b"a", b"b"])
    assert "decode them first" in message([b"a", b"b"])


def test_options_that_would_do_nothing_are_refused():
    assert "vocabulary: applies to a tokenizer that is trained" in message(
        TEXTS, tokenizer="some/folder", vocabulary=500
    )
    assert "columns: found column too" in message(TEXTS, column="a", columns=["a", "b"])
    assert "columns: found split too" in message(TEXTS, split="spaces", columns=["a", "b"])
    assert "tokenizer: found 'saved'" in message(TEXTS, tokenizer="saved", min_count=None)
    assert "there is no tokenizer 'wordz'; did you mean 'words'" in message(
        TEXTS, tokenizer="wordz", min_count=None
    )


def test_lists_are_no_texts_where_training_had_texts():
    with pytest.raises(InputError, match="holds lists of texts, expected texts"):
        fitted().apply(read({"review": [["a"]]}))


def test_a_vocabulary_can_be_declared_and_is_kept_to():
    assert fitted(vocabulary=500).shape().vocabulary == 500
    assert Text("review", vocabulary=500).declared().vocabulary == 500
    with pytest.raises(
        InputError, match="vocabulary: the number of tokens is unknown without data"
    ):
        Text("review").declared()
    assert fitted(vocabulary=6).shape().vocabulary == 6
