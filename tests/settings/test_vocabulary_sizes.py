"""The size of a vocabulary follows the corpus; what is given is kept."""

import pyarrow as pa
import pytest

from motet.data.inputs.text import Text
from motet.settings.vocabulary_sizes import size_for


@pytest.mark.parametrize(
    ("corpus", "expected"),
    [
        (("words", 200_000, 8_000), 8_000),
        (("words", 9_000, 900), 2_000),
        (("wordpiece", 20_000, 9_000), 2_000),
        (("wordpiece", 2_000_000, 50_000), 20_000),
        (("wordpiece", 10**9, 10**6), 30_000),
    ],
)
def test_words_are_all_kept_and_pieces_grow_with_the_corpus(corpus, expected):
    assert size_for(*corpus) == expected


@pytest.mark.parametrize("kind", ["words", "wordpiece"])
def test_auto_is_settled_by_the_training_rows_and_saved_as_a_number(kind):
    pytest.importorskip("tokenizers")
    text = Text("a", tokenizer=kind, vocabulary="auto")
    table = pa.table({"a": ["good shoes", "bad shoes", None] * 20})
    text.observe(table.slice(0, 30))
    text.observe(table.slice(30))
    text.finish()
    assert text.state()["vocabulary"] == text.shape().vocabulary == 2_000
