"""`motet.data.from_texts`: texts and labels in Python, ready for a trainer."""

import numpy as np
import pyarrow as pa
import pytest
import tokenizers
import torch
from torch import nn

import motet
from motet.data import TextData, from_texts, tokeniser_training
from motet.encoders import LSTM
from motet.problems import InputError

WORDS = [["Fly", "to", "New", "York"], ["good", "shoes,", "cheap"], ["to", "Lima"]] * 20
TAGS = [["O", "O", "B-city", "I-city"], ["O", "O", "O"], ["O", "B-city"]] * 20
LABELS = {"kind": ["travel", "shop", "travel"] * 20, "length": [4.0, 3.0, None] * 20}


def message(*given, **options):
    with pytest.raises(InputError) as caught:
        from_texts(*given, **options)
    return str(caught.value)


def test_an_encoder_and_two_tasks_learn_from_it():
    data = from_texts(WORDS, LABELS, {"ner": TAGS})
    tasks = [
        motet.tasks.Classification("kind", classes=data.classes["kind"]),
        motet.tasks.Regression("length"),
        motet.tasks.SequenceLabelling("ner", classes=data.classes["ner"]),
    ]
    model = motet.MultiTaskModel(LSTM(data.sizes.vocabulary, width=16), tasks)
    trainer = motet.Trainer(model, batch_size=16, learning_rate=0.03, device="cpu")
    trainer.fit(data, epochs=25)
    later = from_texts(WORDS[:1], {"kind": ["travel"]}, {"ner": TAGS[:1]}, like=data)
    report = trainer.evaluate(later)
    assert report["kind"]["accuracy"] == report["ner"]["span_f1"] == 1
    places = [data.classes["ner"].index(tag) for tag in TAGS[0]]
    assert trainer.predict(later)["ner"].tolist() == [places]


def test_names_become_classes_and_numbers_stay():
    data = from_texts(
        ["a", "b", None], {"name": ["y", None, "x"], "place": [2, 0, 1], "on": [True] * 2 + [False]}
    )
    assert data.classes == {"name": ("x", "y"), "on": ("false", "true")}
    assert data.targets["name"].tolist() == [1, -100, 0]
    assert data.targets["place"].tolist() == [2, 0, 1]
    assert data.targets["on"].tolist() == [1, 1, 0]


def test_places_of_tags_stay_what_they_are():
    data = from_texts([["a", "b"], ["c"], ["d"]], tags={"ner": [[0, 3], [2], None]})
    assert data.targets["ner"].tolist() == [[0, 3], [2, -100], [-100, -100]]


def test_later_texts_are_read_as_the_first_were():
    data = from_texts(["good shoes", "bad shoes"], {"mood": ["up", "down"]}, min_count=1)
    later = from_texts(["shoes good"], like=data)
    first, second = data.inputs["ids"][0:1][0].tolist(), later.inputs["ids"][0:1][0].tolist()
    assert second == [first[0], first[2], first[1]]
    assert later.sizes == data.sizes
    assert isinstance(later, TextData)


def test_a_task_that_the_first_texts_did_not_have_learns_its_classes_from_the_later_ones():
    first = from_texts(WORDS, {"kind": LABELS["kind"], "place": [0, 1, 2] * 20})
    answers = {"kind": ["shop", "travel", None], "buy": ["yes", "no", None], "stars": [5, 1, 2]}
    later = from_texts(WORDS[:3], answers, {"ner": TAGS[:3]}, like=first)
    assert later.classes == {
        "kind": ("shop", "travel"),
        "buy": ("no", "yes"),
        "ner": ("B-city", "I-city", "O"),
    }
    assert later.targets["kind"].tolist() == [0, 1, -100]
    assert later.targets["buy"].tolist() == [1, 0, -100]
    assert later.targets["stars"].tolist() == [5, 1, 2]
    assert later.targets["ner"].tolist() == [
        [2, 2, 0, 1],
        [2, 2, 2, -100],
        [2, 0, -100, -100],
    ]
    assert first.classes == {"kind": ("shop", "travel")}

    last = from_texts(WORDS[1:2], {"buy": ["yes"]}, {"ner": [["O", "O", "B-city"]]}, like=later)
    assert last.classes == later.classes
    assert last.targets["ner"].tolist() == [[2, 2, 0]]


def test_a_task_of_numbers_takes_no_names_later_on():
    data = from_texts(["a", "b"], {"place": [0, 1]})
    assert "targets of task 'place'" in message(["a"], {"place": ["x"]}, like=data)


def test_pairs_have_segments():
    data = from_texts([("a title", "a text"), "only this", None], tokenizer="words", min_count=1)
    assert data.sizes.segments == 2
    assert data.inputs["segments"][0:1].tolist() == [[0, 0, 0, 0, 1, 1]]


def test_any_tokenizer_of_the_libraries_will_do(tmp_path):
    text = tokeniser_training.train("words", ["good shoes"] * 2).to_json()
    (tmp_path / "tokenizer.json").write_text(text, encoding="utf-8")
    found = [
        from_texts(["good boots"], tokenizer=each).inputs["ids"][0:1].tolist()
        for each in (str(tmp_path), tokenizers.Tokenizer.from_str(text))
    ]
    assert found == [[[2, 5, 1]]] * 2


def test_what_is_no_list_of_texts_is_named_by_its_row():
    assert "texts is 'good', expected a list of texts" in message("good")
    assert "texts is 5, expected a list of texts" in message(5)
    assert "texts has 5 in row 2, expected one type, as 'a' before" in message(["a", None, 5])
    assert "texts has ['a'] in row 1" in message(["a", ["a"]])
    assert "texts has 5 in row 1" in message([("a", "b"), ("a", 5)])
    assert "texts has the word 3 in row 1, expected a text" in message([["a"], ["b", 3]])
    assert "has a tuple of 3 in row 1, expected a pair" in message([("a", "b"), ("a", "b", "c")])
    assert "no word in the 2 training rows" in message([None, ""])
    assert "no rows" in message([])


def test_missing_texts_and_arrays_of_any_library_are_read():
    given = [np.array(["a", "b"]), pa.array(["a", "b"]), ["a", "b"], (text for text in "ab")]
    found = [from_texts(texts, min_count=1).inputs["ids"][0:2].tolist() for texts in given]
    assert found == found[:1] * 4
    assert from_texts(["a", float("nan")]).inputs["ids"][0:2].tolist()[1][1:] == [0]


def test_places_of_tags_may_be_arrays_with_minus_100_for_none():
    tags = [np.array([0, -100]), torch.tensor([1])]
    found = from_texts([["a", "b"], ["c"]], tags={"ner": tags}).targets["ner"]
    assert found.tolist() == [[0, -100], [1, -100]]


def test_later_texts_are_pairs_if_and_only_if_the_first_were():
    pairs, texts = from_texts([("a b", "c")] * 2), from_texts(["a b c"] * 2)
    assert "texts are pairs, but those of the training data are not" in message(
        [("a", "b")], like=texts
    )
    alone = from_texts(["a b"], like=pairs)
    assert alone.inputs["ids"][0:1].tolist() == (
        from_texts([("a b", None)], like=pairs).inputs["ids"][0:1].tolist()
    )


def test_a_batch_of_nothing_but_padding_is_predicted():
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel({"?": 0, "a": 1}, unk_token="?"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()  # no token of its own, as [CLS]
    data = from_texts(
        [["a"], ["a", "b"]], {"x": [1.0, 2.0]}, {"ner": [[0], [1, 0]]}, tokenizer=inner
    )
    tasks = [motet.tasks.Regression("x"), motet.tasks.SequenceLabelling("ner", classes=2)]
    trainer = motet.Trainer(motet.MultiTaskModel(LSTM(data.sizes.vocabulary, width=8), tasks))
    trainer.fit(data, epochs=1)
    found = trainer.predict(from_texts([[""], [], None], like=data))
    assert np.isfinite(found["x"]).all()
    assert found["ner"].shape == (3, 1)


def test_what_does_not_fit_is_told():
    assert "'ner' has 1 tags in row 1, where input 'texts' has 2 words" in message(
        [["a"], ["b", "c"]], tags={"ner": [["B-x"], ["O"]]}
    ).replace("column 'ner'", "'ner'")
    assert "has whole texts" in message(["a b"], tags={"ner": [["O", "B-x"]]})
    assert "different lengths" in message(["a", "b"], {"mood": ["x"]})
    assert "task 'a' has labels and tags" in message([["a"]], {"a": ["x"]}, {"a": [["O"]]})
    assert "expected the name of a kind" in message(["a"], tokenizer=nn.Identity())
    data = from_texts(["a", "b"], {"mood": ["up", "down"]})
    assert "task 'mood' has 'left', which the training data do not have" in message(
        ["a"], {"mood": ["left"]}, like=data
    )
    assert "like brings the tokenizer" in message(["a"], like=data, max_length=5)
    assert "like is 3, expected what from_texts returned" in message(["a"], like=3)
    assert "no option 'max_len'; did you mean 'max_length'?" in message(["a"], max_len=5)
    assert "no option 'columns'" in message(["a"], columns=["a"])
    assert "labels is ['up'], expected a list for each task" in message(["a"], ["up"])


def test_texts_to_generate_become_tokens_and_texts_again():
    words = {"red": "rot", "green": "grün", "blue": "blau"}
    texts, german = [f"a {word}" for word in words] * 20, [*words.values()] * 20
    german[1] = None
    data = from_texts(texts, outputs={"german": german}, output_tokenizer="characters")
    assert data.classes == {}
    sizes = data.generation["german"]
    assert sizes == {"vocabulary_size": 12, "max_length": 4}  # ten letters and two more
    torch.manual_seed(0)
    task = motet.tasks.Generation("german", **sizes, width=16, dropout=0.0)
    encoder = LSTM(data.sizes.vocabulary, width=16, dropout=0.0)
    trainer = motet.Trainer(
        motet.MultiTaskModel(encoder, [task]), learning_rate=0.03, batch_size=10
    )
    trainer.fit(data, epochs=15)
    later = from_texts(["a blue", "a green"], outputs={"german": ["blau", None]}, like=data)
    assert later.spelt("german", trainer.predict(later)["german"]) == ["blau", "grün"]
    assert trainer.evaluate(later)["german"]["count"] == 1


def test_mistakes_in_texts_to_generate_are_named():
    with pytest.raises(InputError, match="task 'a' has labels and outputs"):
        from_texts(["b", "c"], {"a": [0, 1]}, outputs={"a": ["x", "y"]})
    with pytest.raises(InputError, match="output_tokenizer: did you mean 'words'"):
        from_texts(["b", "c"], outputs={"a": ["x", "y"]}, output_tokenizer="wordz")
    data = from_texts(["b", "b"], outputs={"a": ["x", "y"]})
    with pytest.raises(InputError, match="'aa' has no texts to generate; did you mean 'a'"):
        data.spelt("aa", [[2]])
