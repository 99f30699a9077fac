"""What a tokenizer's tokens mean: which are special, which hides, and whether pairs are marked."""

import pytest

from motet import MultiTaskModel
from motet.data.inputs.text import Text
from motet.data.texts import from_texts
from motet.data.tokenising import from_json
from motet.problems import InputError
from motet.vocabularies import Vocabulary

tokenizers = pytest.importorskip("tokenizers")


def saved(specials, pair=None):
    """A tokenizer of words with special tokens, as libraries save them."""
    words = [*specials, "good", "shoes"]
    unknown = next(token for token in specials if "unk" in token.lower())
    places = {word: place for place, word in enumerate(words)}
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(places, unk_token=unknown))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    inner.add_special_tokens(specials)
    if pair:
        special = [(token, words.index(token)) for token in specials if token in pair]
        inner.post_processor = tokenizers.processors.TemplateProcessing(
            single="$A", pair=pair, special_tokens=special
        )
    return from_json(inner.to_str())


def test_those_trained_here_know_theirs_and_so_does_a_model_without_data():
    for kind in ("words", "wordpiece", "bpe"):
        found = from_texts(["good shoes", "good"] * 3, tokenizer=kind).sizes
        assert found.tokens == Vocabulary(
            found.vocabulary, (0, 2, 3, 4), 4, 1, used=found.vocabulary, marks_pairs=True
        )
        declared = Text("review", tokenizer=kind, vocabulary=400).declared().tokens
        assert declared == Vocabulary(400, (0, 2, 3, 4), 4, 1)


def test_tokens_that_never_occur_are_no_words():
    text = Text("review", tokenizer="words", vocabulary=20, min_count=1)
    import pyarrow as pa

    text.observe(pa.table({"review": ["good shoes"]}))
    text.finish()
    assert text.shape().tokens.not_words() == [0, 1, 2, 3, 4, *range(7, 20)]


@pytest.mark.parametrize(
    ("specials", "pair", "expected"),
    [
        (
            ["<s>", "<pad>", "</s>", "<unk>", "<mask>"],  # RoBERTa: all tokens are moved by one
            "<s> $A:0 </s>:0 </s>:0 $B:0 </s>:0",
            Vocabulary(8, (0, 1, 2, 3, 5), 5, 4, used=8, marks_pairs=False),
        ),
        (
            ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
            "[CLS] $A:0 [SEP]:0 $B:1 [SEP]:1",
            Vocabulary(7, (0, 2, 3, 4), 4, 1, used=7, marks_pairs=True),
        ),
        (["<pad>", "</s>", "<unk>"], None, Vocabulary(5, (0, 1), None, 2, 5, False)),
    ],
)
def test_those_of_libraries_are_read(specials, pair, expected):
    found = saved(specials, pair)
    assert found.vocabulary(found.size) == expected


def test_a_model_of_a_config_without_data_has_the_outputs_of_its_vocabulary():
    config = {
        "inputs": {"review": {"type": "text", "vocabulary": 400, "encoder": {"type": "lstm"}}},
        "tasks": {
            "stars": {"type": "regression"},
            "words": {"type": "masked_language_modelling"},
        },
    }
    model = MultiTaskModel.from_config(config)
    assert model.tasks["words"].outputs == 400
    config["tasks"]["words"] = {"type": "language_modelling"}
    with pytest.raises(InputError, match="set bidirectional: false"):
        MultiTaskModel.from_config(config)
