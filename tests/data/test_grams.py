"""The n-grams of texts: what fastText reads, hashed alike everywhere."""

import unicodedata

import numpy as np
import pytest

from motet.data.grams import Grams
from motet.data.text_parts import TextParts
from motet.problems import InputError

MANY = 1 << 30
"""So many buckets that different n-grams do not meet here."""


def read(grams, texts, longest=None):
    values, lengths, _ = grams.of(texts, longest)
    return [part.tolist() for part in np.split(values, lengths.cumsum()[:-1])]


def naive(text, words, characters):
    """All n-grams of a text as texts, with plain loops."""
    split = text.lower().split()
    found = [tuple(split[i : i + n]) for n in range(1, words + 1) for i in range(len(split))]
    found = [run for i, run in enumerate(found) if len(run) == 1 + i // max(len(split), 1)]
    for word in split if characters else ():
        spelt = f"<{word}>"
        for n in range(characters[0], characters[1] + 1):
            found += [spelt[i : i + n] for i in range(len(spelt) - n + 1)]
    return found


TEXTS = ["The cat saw the cat", "", "cat", "a b a b a", "Saw the dog the DOG saw", "über Äpfel"]


@pytest.mark.parametrize("characters", [None, (1, 1), (3, 5)])
@pytest.mark.parametrize("words", [1, 2, 3])
def test_n_grams_are_those_of_plain_loops_and_only_equal_ones_meet(words, characters):
    found = read(Grams(MANY, words, characters), TEXTS)
    expected = [naive(text, words, characters) for text in TEXTS]
    number = {}
    for ours, theirs in zip(found, expected, strict=True):
        assert len(ours) == len(theirs)
        for value in theirs:
            number.setdefault(value, len(number))
    # the same numbers of each text, whatever they are called: count how often each occurs
    ours = sorted(tuple(row.count(v) for row in found) for v in {v for r in found for v in r})
    theirs = sorted(tuple(row.count(v) for row in expected) for v in number)
    assert ours == theirs


def test_a_row_has_the_same_n_grams_alone_and_among_others():
    grams = Grams(1000, 2, (2, 3))
    together = read(grams, TEXTS)
    for text, row in zip(TEXTS, together, strict=True):
        assert read(grams, [text])[0] == row


def test_buckets_are_those_of_earlier_versions():
    assert read(Grams(65_536, 2, (3, 3)), ["Good shoes!"]) == [FROZEN]
    assert all(1 <= value <= 7 for value in read(Grams(7, 3, (1, 6)), ["Good shoes!"])[0])


FROZEN = [36694, 26734, 65461, 1939, 5621, 16291, 31487]
FROZEN += [63300, 42584, 20017, 37504, 18044, 55293, 61463]


def test_case_counts_only_without_lowercase():
    assert len({*map(str, read(Grams(MANY), ["Ärger", "ärger"]))}) == 1
    assert len({*map(str, read(Grams(MANY, lowercase=False), ["Ärger", "ärger"]))}) == 2


def test_texts_of_a_pair_are_one_bag_without_runs_across():
    (pair,) = read(Grams(MANY), [("good", "shoes")])
    (title,), (both,) = read(Grams(MANY), ["good"]), read(Grams(MANY), ["good shoes"])
    assert len(pair) == 2
    assert set(pair) < set(both)
    assert title[0] in pair


def test_words_of_a_list_are_those_of_a_text():
    grams = Grams(MANY, 2, (3, 4))
    assert read(grams, [["good", "shoes!"]]) == read(grams, ["good shoes!"])


def test_the_rest_of_a_long_text_is_not_read():
    grams = Grams(MANY, 2, (3, 4))
    assert read(grams, ["a b c d", "a"], 2) == read(grams, ["a b", "a"])
    assert read(grams, [("a b", "c d")], 3) == read(grams, [("a b", "c")])


def test_marks_belong_to_their_letters():
    hindi = "हिन्दी"
    assert any(unicodedata.category(each).startswith("M") for each in hindi)
    assert len(read(Grams(MANY), [hindi])[0]) == 1


def test_the_longer_text_of_a_pair_is_truncated_first():
    grams = Grams(MANY, 1)
    long, short = "a b c d e f", "g h"
    for pair, expected in {
        (long, short): ("a b", "g h"),
        (short, long): ("g h", "a b"),
        (long, long.upper()): ("a b", "A B"),
        ("", long): ("", "a b c d"),
    }.items():
        assert read(grams, [pair], 4) == read(grams, [expected])


def test_pieces_of_an_endless_word_are_those_of_its_beginning():
    number = {len(read(Grams(MANY, 1, (3, 3)), ["x" * n])[0]) for n in (500, 501, 10**5)}
    assert number == {1 + 500, 1 + 499}  # with its end, and without


def test_each_chinese_character_is_a_word_and_thai_is_read_in_pieces():
    grams = Grams(MANY, 2, None)
    assert read(grams, ["今天 ok"]) == read(grams, ["今 天 ok"]) == read(grams, ["今天ok"])
    one, other = "สวัสดีชาวโลก" * 20, "สวัสดีชาวโลก" * 20 + "ครับ"  # each is one word
    same = {*read(Grams(MANY, 2, (3, 5)), [one])[0]} & {*read(Grams(MANY, 2, (3, 5)), [other])[0]}
    assert len(same) > 20


def test_many_texts_have_the_n_grams_of_few(monkeypatch):
    grams = Grams(1000, 2, (2, 3))
    pairs = [("a b", "c"), ("", ""), ("d", "")] * 3
    expected = read(grams, TEXTS), read(grams, pairs)
    monkeypatch.setattr("motet.data.grams._CHUNK", 2)
    assert (read(grams, TEXTS), read(grams, pairs)) == expected


def test_an_encoder_says_what_it_reads_and_others_read_nothing():
    parts = TextParts.of({"type": "bag", "buckets": 7, "characters": None}, lowercase=False)
    assert parts.grams == Grams(7, 2, None, lowercase=False)
    assert TextParts.from_state(parts.state()) == parts
    assert TextParts.of("bag", lowercase=True).grams.characters == (3, 5)
    assert TextParts.of({"width": 3}, lowercase=True) == TextParts() == TextParts.from_state({})
    with pytest.raises(InputError, match="did you mean 'bag'"):
        TextParts.of("bga", lowercase=True)
