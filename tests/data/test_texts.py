"""`motet.data.from_texts`: texts and labels in Python, ready for a trainer."""

import pytest
from torch import nn

import motet
from motet.data import TextData, from_texts, tokenising
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


def test_pairs_have_segments():
    data = from_texts([("a title", "a text"), "only this", None], tokenizer="words", min_count=1)
    assert data.sizes.segments == 2
    assert data.inputs["segments"][0:1].tolist() == [[0, 0, 0, 0, 1, 1]]


def test_any_tokenizer_of_the_libraries_will_do(tmp_path):
    import tokenizers

    text = tokenising.train("words", ["good shoes"] * 2).to_json()
    (tmp_path / "tokenizer.json").write_text(text, encoding="utf-8")
    found = [
        from_texts(["good boots"], tokenizer=each).inputs["ids"][0:1].tolist()
        for each in (str(tmp_path), tokenizers.Tokenizer.from_str(text))
    ]
    assert found == [[[2, 5, 1]]] * 2


def test_what_does_not_fit_is_told():
    assert "'ner' has 1 tags in row 1, where input 'texts' has 2 words" in message(
        [["a"], ["b", "c"]], tags={"ner": [["B-x"], ["O"]]}
    ).replace("column 'ner'", "'ner'")
    assert "not made of words" in message(["a b"], tags={"ner": [["O", "B-x"]]})
    assert "different lengths" in message(["a", "b"], {"mood": ["x"]})
    assert "task 'a' has labels and tags" in message([["a"]], {"a": ["x"]}, {"a": [["O"]]})
    assert "expected the name of a kind" in message(["a"], tokenizer=nn.Identity())
    data = from_texts(["a", "b"], {"mood": ["up", "down"]})
    assert "task 'mood' has 'left', which the training data have not" in message(
        ["a"], {"mood": ["left"]}, like=data
    )
    assert "like brings the tokenizer" in message(["a"], like=data, max_length=5)
