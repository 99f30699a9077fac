"""Tokenisers: the same from the same texts, words kept apart, padding at 0, clear when wrong."""

import sys

import numpy as np
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from motet.data import tokeniser_training
from motet.data.tokeniser_training import train
from motet.data.tokenising import KINDS, from_json, read
from motet.problems import InputError

TEXTS = [
    "the cat sat on the mat",
    "a dog, a cat; the DOG sat",
    "Über schöne Katzen: 猫 and cats",
] * 3
FOUND = {kind: train(kind, TEXTS, vocabulary=400, min_count=1) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_texts_teach_the_same_tokens(kind):
    again = [train(kind, TEXTS, vocabulary=400, min_count=1).to_json() for _ in range(4)]
    assert set(again) == {FOUND[kind].to_json()}


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_the_texts_teaches_nothing(kind):
    again = train(kind, sorted(TEXTS, reverse=True), vocabulary=400, min_count=1)
    assert again.to_json() == FOUND[kind].to_json()


@pytest.mark.parametrize("kind", KINDS)
@given(texts=st.lists(st.text(max_size=30), max_size=5))
def test_any_text_has_tokens_within_the_vocabulary_and_none_is_padding(kind, texts):
    encoded = FOUND[kind].encode(texts, max_length=50)
    assert (encoded.ids > 0).all()
    assert (encoded.ids < FOUND[kind].size).all()
    assert len(encoded.lengths) == len(texts)
    assert encoded.lengths.sum() == len(encoded.ids) == len(encoded.segments)


@pytest.mark.parametrize("kind", KINDS)
@given(rows=st.lists(st.lists(st.text(max_size=8), max_size=6), min_size=1, max_size=4))
def test_every_word_has_a_place_within_its_text_and_in_order(kind, rows):
    encoded = FOUND[kind].encode(rows, max_length=9)
    assert len(encoded.words) == sum(map(len, rows))
    start = 0
    for row, length in zip(rows, encoded.lengths, strict=True):
        places = encoded.words[start : start + len(row)]
        assert (np.diff(places) >= 0).all()
        assert ((places >= 0) & (places < length)).all()
        start += len(row)


@pytest.mark.parametrize("kind", KINDS)
def test_the_place_of_a_word_is_that_of_its_first_token(kind):
    words = ["dog,", "catsdog", "", "mat"]
    encoded = FOUND[kind].encode([words], max_length=50)
    alone = [FOUND[kind].encode([[word]], max_length=50).ids[1:] for word in words]
    assert encoded.ids[0] == FOUND[kind].encode([[]], max_length=50).ids[0]
    assert encoded.ids[1:].tolist() == np.concatenate(alone).tolist()
    ends = np.cumsum([1, *map(len, alone)])
    assert encoded.words.tolist() == [1, ends[1], ends[1], ends[3]]


def test_what_does_not_fit_is_cut_and_counted():
    words = FOUND["words"]
    encoded = words.encode(["the cat", "the cat sat on the mat", "", "cat " * 10_000], max_length=4)
    assert encoded.lengths.tolist() == [3, 4, 1, 4]
    assert encoded.cut == 2
    assert words.encode([["cat"] * 5], max_length=4).words.tolist() == [1, 2, 3, 3, 3]


def test_the_parts_of_a_pair_are_told_apart():
    encoded = FOUND["words"].encode([("the cat", "sat"), ("", "mat"), ("cat", "")], max_length=50)
    tokens = FOUND["words"].tokens(encoded.ids)
    assert tokens[:5] == ["[CLS]", "the", "cat", "[SEP]", "sat"]
    assert encoded.segments.tolist() == [0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0]


def test_letters_keep_their_marks_and_case_counts_if_asked():
    assert FOUND["words"].tokens(FOUND["words"].encode(["SCHÖNE"], 9).ids) == ["[CLS]", "schöne"]
    cased = train("words", TEXTS, min_count=1, lowercase=False)
    assert cased.tokens(cased.encode(["DOG dog Dog"], 9).ids)[1:] == ["DOG", "dog", "[UNK]"]


def test_what_spells_a_special_token_or_a_part_of_a_word_is_read_letter_by_letter():
    wordpiece = FOUND["wordpiece"]
    assert wordpiece.tokens(wordpiece.encode(["##a"], 9).ids)[1:] == ["[UNK]", "[UNK]", "a"]
    for kind in KINDS:
        for spelt in ("[PAD] [CLS]", ["[PAD]", "[CLS]"]):
            first, *others = FOUND[kind].tokens(FOUND[kind].encode([spelt], 50).ids)
            assert first == "[CLS]"
            assert not {"[PAD]", "[CLS]"} & set(others)


def test_bytes_leave_no_word_unknown():
    assert "[UNK]" not in FOUND["bpe"].tokens(FOUND["bpe"].encode(["ﬀ 🙂 Ω \u200b"], 50).ids)


@pytest.mark.parametrize("kind", KINDS)
def test_json_holds_all_of_it(kind):
    texts = ["the catdog", "猫"]
    again = from_json(FOUND[kind].to_json())
    assert again.encode(texts, 9).ids.tolist() == FOUND[kind].encode(texts, 9).ids.tolist()
    assert again.size == FOUND[kind].size


def test_a_tokenizer_is_read_from_its_file_or_folder(tmp_path):
    (tmp_path / "tokenizer.json").write_text(FOUND["bpe"].to_json(), encoding="utf-8")
    for place in (tmp_path, str(tmp_path / "tokenizer.json")):
        assert read(place).size == FOUND["bpe"].size


def test_tokens_move_up_by_one_where_token_0_is_no_padding():
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel({"cat": 0, "dog": 1}, unk_token="dog"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    found = from_json(inner.to_str())
    assert found.size == 3
    assert found.encode(["cat dog"], 9).ids.tolist() == [1, 2]
    assert found.tokens([1, 2]) == ["cat", "dog"]


def test_every_token_lies_below_the_size_where_numbers_have_holes():
    inner = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({"[PAD]": 0, "cat": 1, "?": 50}, unk_token="?")
    )
    found = from_json(inner.to_str())
    assert found.size == 51
    assert found.encode(["dog"], 9).ids.tolist() == [50]


def test_a_tokenizer_that_was_saved_with_truncation_and_padding_does_neither():
    inner = tokenizers.Tokenizer.from_str(FOUND["words"].to_json())
    inner.enable_truncation(3)
    inner.enable_padding(length=20)
    found = from_json(inner.to_str())
    assert found.encode(["the cat sat on the mat", "cat"], 50).lengths.tolist() == [7, 2]


def _byte_level(prefix):
    """A tokenizer such as that of GPT-2 and RoBERTa: "Ġcat" is " cat"; padding is token 1."""
    inner = tokenizers.Tokenizer(tokenizers.models.BPE())
    level = tokenizers.pre_tokenizers.ByteLevel
    inner.pre_tokenizer = level(add_prefix_space=prefix)
    trainer = tokenizers.trainers.BpeTrainer(
        special_tokens=["<s>", "<pad>", "</s>"],
        initial_alphabet=level.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(TEXTS, trainer)
    inner.post_processor = tokenizers.processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), add_prefix_space=prefix
    )
    return inner


ODD = (
    "dog,",
    "(cat)",
    "don't",
    "U.S.",
    "İzmir",
    "e\u0301",
    "👩‍👩‍👧",
    "猫が好き",
    "\u200b",
    "\xad",
    "ﬁx",
    "",
)
WORDS = st.lists(st.sampled_from(ODD) | st.text(max_size=8), min_size=1, max_size=6)
BYTE_LEVEL = {prefix: _byte_level(prefix) for prefix in (True, False)}
WORDPIECE = tokenizers.Tokenizer.from_str(FOUND["wordpiece"].to_json())


@given(words=WORDS, length=st.sampled_from([5, 9, 64]))
def test_tokens_and_places_of_words_are_those_of_transformers(words, length):
    transformers = pytest.importorskip("transformers")
    for inner in (BYTE_LEVEL[True], WORDPIECE):
        other = transformers.PreTrainedTokenizerFast(tokenizer_object=inner)
        expected = other(words, is_split_into_words=True, truncation=True, max_length=length)
        found = from_json(inner.to_str())
        encoded = found.encode([words], length)
        shift = 0 if inner.id_to_token(0) == "[PAD]" else 1
        assert (encoded.ids - shift).tolist() == expected["input_ids"]
        word_of = expected.word_ids()
        last = 0
        for word, place in enumerate(encoded.words.tolist()):
            last = word_of.index(word) if word in word_of else last
            assert place == last


@given(st.lists(st.sampled_from(["cat", "dog,", "猫", "İzmir", "e\u0301"]), min_size=1, max_size=6))
def test_words_have_the_tokens_that_they_have_in_a_text(words):
    levels = [from_json(inner.to_str()) for inner in BYTE_LEVEL.values()]
    for found in (*levels, *FOUND.values()):
        as_text = found.encode([" ".join(words)], 64).ids
        assert found.encode([words], 64).ids.tolist() == as_text.tolist()


def test_words_without_a_token_stay_without_where_tokens_hold_spaces():
    found = from_json(BYTE_LEVEL[False].to_str())
    assert found.encode([["cat", "", "dog"]], 64).words.tolist() == [1, 1, 2]


def test_segments_are_0_and_1_whatever_a_tokenizer_numbers():
    inner = tokenizers.Tokenizer.from_str(FOUND["words"].to_json())
    inner.post_processor = tokenizers.processors.TemplateProcessing(
        single="$A", pair="$A:0 $B:1 [CLS]:2", special_tokens=[("[CLS]", 2)]
    )
    assert from_json(inner.to_str()).encode([("the", "cat")], 9).segments.tolist() == [0, 1, 1]


def test_a_length_without_room_for_a_word_is_refused():
    inner = tokenizers.Tokenizer.from_str(FOUND["words"].to_json())
    inner.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    found = from_json(inner.to_str())
    with pytest.raises(InputError, match=r"max_length: found 2, .* adds 2 special .* at least 3"):
        found.encode(["the cat"], max_length=2)
    with pytest.raises(InputError, match="expected at least 4"):
        found.encode([("the cat", "sat")], max_length=3)
    assert found.encode([("the cat", "sat on")], max_length=5).lengths.tolist() == [5]


def test_of_a_pair_the_longer_part_is_cut_first():
    encoded = FOUND["words"].encode([("the cat", "the dog sat on"), ("the cat sat", "")], 5)
    tokens = FOUND["words"].tokens(encoded.ids)
    assert tokens[:5] == ["[CLS]", "the", "[SEP]", "the", "dog"]
    assert tokens[5:] == ["[CLS]", "the", "cat", "sat", "[SEP]"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_word_without_end_teaches_nothing(kind):
    endless = ["a" * 200_000, "the cat, " + "ab" * 50_000]
    found = train(kind, [*TEXTS, *endless, "the cat,"], vocabulary=400, min_count=1)
    assert found.to_json() == train(kind, [*TEXTS, *["the cat,"] * 2], vocabulary=400).to_json()
    assert found.encode(endless, 9).lengths.max() <= 9


def test_what_is_no_tokenizer_is_told(tmp_path):
    def message(place):
        with pytest.raises(InputError) as caught:
            read(place)
        return str(caught.value)

    (tmp_path / "vocab.txt").write_text("a")
    assert "has no tokenizer.json (it has vocab.txt)" in message(tmp_path)
    assert "there is no tokenizer 'wordpeice'; did you mean 'wordpiece'?" in message("wordpeice")
    (tmp_path / "tokenizer.json").write_text("{}")
    assert "is not a tokenizer of the library tokenizers" in message(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes(b"\xff\xfe")
    assert "cannot be read" in message(tmp_path)


def test_a_vocabulary_that_cannot_hold_all_letters_is_refused():
    with pytest.raises(InputError, match="vocabulary: found 100, expected at least 300 for bpe"):
        train("bpe", TEXTS, vocabulary=100)


def test_a_tokenizer_that_would_know_no_word_is_refused():
    with pytest.raises(InputError, match="vocabulary: found 5, expected at least 6 for words"):
        train("words", TEXTS, vocabulary=5)
    with pytest.raises(
        InputError,
        match=r"min_count: found 99, but no word occurs that often in 9 texts; .*min_count: 1",
    ):
        train("words", TEXTS, min_count=99)
    with pytest.raises(InputError, match="min_count: found 2, but no word"):
        train("wordpiece", ["\u200b", "\xad"])


def test_without_the_library_the_line_to_install_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(InputError, match=r'pip install "motet\[text\]"'):
        tokeniser_training.train("words", TEXTS)
