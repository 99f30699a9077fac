"""The letters of each token's word: those of the text itself, also where the token is unknown."""

import numpy as np
import pytest

from motet.data.letters import letters_of

pytest.importorskip("tokenizers")
from motet.data.tokeniser_training import train

TEXTS = ["Fly to Lima", "to Lima", "fly to Lima"]


def spelt(letters):
    return ["".join(chr(each - 2) for each in row if each) for row in letters.tolist()]


def encoded(tokenizer, texts, longest=6):
    found = tokenizer.encode(texts, 20, letters=longest)
    plain = tokenizer.encode(texts, 20)
    assert np.array_equal(found.ids, plain.ids)
    assert found.letters.shape == (len(found.ids), longest)
    return spelt(found.letters)


def test_letters_of_other_alphabets_differ_and_long_words_keep_both_ends():
    russian = letters_of(["абвгдежзийклмнопрстуфхцчшщъыьэюя"], 40)[0]
    assert len({*russian.tolist()} - {0}) == 32
    assert spelt(letters_of(["unreadable", "able", ""], 6)) == ["unrble", "able", ""]


@pytest.mark.parametrize("kind", ["words", "wordpiece", "bpe"])
def test_every_token_has_the_letters_of_its_word_in_their_own_case(kind):
    tokenizer = train(kind, TEXTS, vocabulary=400, min_count=1)
    words = ["", "Fly", "to", "LIMA"]
    found = encoded(tokenizer, ["Fly to LIMA", ""])
    assert [*dict.fromkeys(found)] == words
    assert [*dict.fromkeys(encoded(tokenizer, [["Fly", "to", "LIMA"], []]))] == words
    assert [*dict.fromkeys(encoded(tokenizer, [("Fly to", "LIMA")]))] == words


def test_unknown_words_and_all_pieces_of_a_word_have_its_letters():
    words = train("words", TEXTS, vocabulary=400, min_count=1)
    assert words.tokens(words.encode(["Quito"], 20).ids) == ["[CLS]", "[UNK]"]
    assert encoded(words, ["Quito"]) == ["", "Quito"]
    pieces = train("wordpiece", TEXTS, vocabulary=400, min_count=2)
    found = encoded(pieces, ["mility"])
    assert len(found) > 2
    assert found == ["", *["mility"] * (len(found) - 1)]
