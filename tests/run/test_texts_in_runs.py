"""Texts in whole runs: from a config to a folder that predicts, alone, for rows that come later."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import torch
from typer.testing import CliRunner

import motet
from motet.cli import app
from motet.config import ConfigError
from motet.data import tokeniser_training
from motet.data.sources import read
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.run import check
from tests.run.stopped_runs import same_weights, stopped

GOOD, BAD, THINGS = ["good", "great", "fine"], ["bad", "awful", "poor"], ["shoes", "socks", "hats"]
CITIES = ["new york", "lima", "são paulo"]


def rows(count=400, seed=0):
    """Reviews with a mood and a thing; words with cities among them; a number that says more."""
    rng = np.random.default_rng(seed)
    table = {"review": [], "mood": [], "thing": [], "words": [], "slots": [], "price": []}
    for _ in range(count):
        mood, thing, city = rng.integers(2), rng.integers(3), rng.integers(4)
        word = (BAD, GOOD)[mood][rng.integers(3)]
        filler = " ".join(rng.choice(["the", "a", "very", "so", "and"], rng.integers(1, 9)))
        table["review"].append(f"{filler} {word} {THINGS[thing]}!")
        table["mood"].append(("sad", "glad")[mood])
        table["thing"].append(THINGS[thing])
        place = CITIES[city].split() if city < 3 else []
        table["words"].append([*filler.split(), word, *place, "today"])
        outside = ["O"] * (len(filler.split()) + 1)
        table["slots"].append([*outside, *(["B-city", "I-city"][: len(place)]), "O"])
        table["price"].append(float(rng.normal() + 3 * mood))
    return table


ROWS = rows()
TRAINING = {"epochs": 10, "batch_size": 32, "optimizer": {"learning_rate": 0.02}, "device": "cpu"}
REVIEW = {
    "inputs": {"review": {"type": "text", "encoder": {"width": 16}}},
    "tasks": {"mood": "classification", "thing": "classification"},
    "training": TRAINING,
}
WORDS = {
    "inputs": {"words": {"type": "text", "tokenizer": "words", "encoder": {"width": 16}}},
    "tasks": {"mood": "classification", "slots": {"type": "sequence_labelling"}},
    "training": TRAINING,
}


def changed(config, **sections):
    return {**config, **sections}


def problems(config, data=ROWS):
    with pytest.raises(ConfigError) as caught:
        check(config, data=data)
    return str(caught.value)


@pytest.fixture(scope="module")
def reviews(tmp_path_factory):
    return motet.train(REVIEW, data=ROWS, output=tmp_path_factory.mktemp("reviews") / "run")


@pytest.fixture(scope="module")
def tagged(tmp_path_factory):
    return motet.train(WORDS, data=ROWS, output=tmp_path_factory.mktemp("tagged") / "run")


def test_two_tasks_are_learned_from_raw_texts(reviews):
    report = reviews.evaluate(rows(200, seed=1))
    assert report["mood"]["accuracy"] > 0.95
    assert report["thing"]["accuracy"] > 0.95


def test_the_model_folder_alone_predicts_and_holds_no_path(reviews, tmp_path):
    shutil.copytree(reviews.path / "model", tmp_path / "m")
    alone = motet.load(tmp_path / "m")
    later = {"review": ["so GREAT hats", "", None, "awful 猫 socks " * 300]}
    assert alone.predict(later).equals(reviews.predict(later))
    assert alone.predict(later)["thing"][0].as_py() == "hats"


def test_a_run_tells_what_it_did_not_read_of_the_last_rows(reviews):
    for use in (reviews.predict, reviews.embed, reviews.preprocess):
        use({"review": ["good hats"]})
        assert reviews.notes == ()
        use({"review": ["good " * 300, None]})
        cut, empty = reviews.notes
        assert cut.startswith("input 'review': 1 of 2 rows have more than 256 tokens")
        assert empty == "input 'review': 1 of 2 rows have no text"


def test_a_text_is_predicted_the_same_in_any_company(reviews):
    texts = ROWS["review"][:20]
    together = reviews.predict({"review": texts})["mood_probability_glad"].to_numpy()
    alone = [
        reviews.predict({"review": [text]})["mood_probability_glad"][0].as_py() for text in texts
    ]
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_embeddings_are_what_the_heads_are_given(reviews):
    embedded = reviews.embed({"review": ROWS["review"][:7]})
    assert embedded.shape == (7, 16)
    assert embedded.dtype == np.float32
    raw = reviews.model.heads["mood"](torch.from_numpy(embedded)).softmax(1)[:, 0].detach()
    found = reviews.predict({"review": ROWS["review"][:7]})["mood_probability_glad"].to_numpy()
    np.testing.assert_allclose(raw, found, atol=1e-6)


def test_embeddings_of_tasks_that_have_their_own_are_asked_for_by_task(tmp_path):
    config = changed(REVIEW, model={"sharing": {"type": "mmoe", "experts": 2, "expert_width": 8}})
    run = motet.train(config, ROWS, ["training.epochs=2"], tmp_path / "run")
    assert run.embed({"review": ["good"]}, task="mood").shape == (1, 8)
    with pytest.raises(InputError, match="for example task='mood'"):
        run.embed({"review": ["good"]})


def test_a_table_and_two_texts_are_joined(tmp_path):
    inputs = {
        "review": {
            "type": "text",
            "encoder": {"type": "transformer", "width": 8, "heads": 2, "layers": 1},
        },
        "words": {"type": "text", "encoder": {"width": 6}},
        "price": "number",
    }
    model = {"encoder": {"hidden": [4]}}
    run = motet.train(
        changed(REVIEW, inputs=inputs, model=model), data=ROWS, output=tmp_path / "run"
    )
    assert run.model.sharing.width == 8 + 6 + 4
    assert run.evaluate(rows(100, seed=1))["score"] > 0.8
    again = motet.load(run.path / "model")
    assert again.predict(ROWS).equals(run.predict(ROWS))


def test_texts_are_inferred_when_inputs_are_left_out():
    table = {name: ROWS[name] for name in ("review", "words", "mood", "price", "slots")}
    config = {"tasks": {"mood": "classification", "slots": "sequence_labelling"}}
    found = {name: chosen.type for name, chosen in check(config, data=table).config.inputs.items()}
    assert found == {"review": "text", "words": "text", "price": "number"}


# Words -----------------------------------------------------------------------------------------


def test_words_are_labelled_and_spans_say_where_they_are(tagged):
    report = tagged.evaluate(rows(200, seed=1))
    assert report["slots"]["span_f1"] > 0.95
    words = ["so", "good", "são", "paulo", "today"]
    line = "  so good\tsão paulo today"
    found = tagged.predict({"words": pa.array([words, []])}).to_pylist()
    assert found[0]["slots"] == ["O", "O", "B-city", "I-city", "O"]
    span = {"type": "city", "start": 2, "end": 4, "text": "são paulo"}
    assert found[0]["slots_spans"] == [{**span, "char_start": 8, "char_end": 17}]
    assert found[1]["slots"] == found[1]["slots_spans"] == []
    (spelt,) = tagged.predict({"words": [line]}).to_pylist()
    assert spelt["slots"] == found[0]["slots"]
    (place,) = spelt["slots_spans"]
    assert line[place["char_start"] : place["char_end"]] == "são paulo"
    test = pq.read_table(tagged.path / "predictions/test.parquet")
    assert "char_start" in str(test["slots_spans"].type)
    assert [len(row) for row in test["slots"].to_pylist()] == [
        len(row) for row in test["slots_true"].to_pylist()
    ]


def test_words_may_come_from_csv_parted_by_spaces(tmp_path):
    lines = [" ".join(words) for words in ROWS["words"]]
    tags = [" ".join(tags) for tags in ROWS["slots"]]
    pa.csv.write_csv(pa.table({"text": lines, "slots": tags}), tmp_path / "rows.csv")
    config = {
        "data": {"source": str(tmp_path / "rows.csv")},
        "inputs": {"text": {"type": "text", "split": "spaces", "encoder": {"width": 16}}},
        "tasks": {"slots": "sequence_labelling"},
        "training": TRAINING,
    }
    run = motet.train(config, output=tmp_path / "run")
    assert run.evaluate(str(tmp_path / "rows.csv"), split="test")["slots"]["span_f1"] > 0.9
    for suffix in ("csv", "parquet", "jsonl"):
        out = tmp_path / f"found.{suffix}"
        command = ["predict", str(run.path), str(tmp_path / "rows.csv"), "--output", str(out)]
        assert CliRunner().invoke(app, command).exit_code == 0
        assert len(read(out)) == len(lines)


def test_words_and_tags_of_different_number_are_told_with_their_row():
    broken = {**ROWS, "slots": [*ROWS["slots"][:7], [], *ROWS["slots"][8:]]}
    words = len(ROWS["words"][7])
    message = f"0 tags in row 7, where input 'words' has {words} words (1 such rows)"
    assert message in problems(WORDS, broken)


def test_tags_that_evaluation_brings_are_held_to_their_words(tagged):
    with pytest.raises(InputError, match="1 tags in row 0, where input 'words' has 2 words"):
        tagged.evaluate({"words": [["a", "b"]], "slots": [["O"]], "mood": ["sad"]})


def test_words_beyond_the_longest_text_are_still_labelled(tmp_path):
    inputs = {"words": {"type": "text", "max_length": 4, "encoder": {"width": 4}}}
    run = motet.train(changed(WORDS, inputs=inputs), ROWS, ["training.epochs=1"], tmp_path / "run")
    found = run.predict(ROWS)["slots"].to_pylist()
    assert [len(tags) for tags in found] == [len(words) for words in ROWS["words"]]


def test_tags_need_a_text_that_is_made_of_words():
    inputs = {"review": "text"}
    found = problems(changed(WORDS, inputs=inputs))
    assert "tasks.slots: it labels words, but input 'review' has whole texts" in found
    both = {"words": "text", "more": {"type": "text", "column": "words"}}
    found = problems(changed(WORDS, inputs=both))
    assert "several inputs have words: words, more; choose one" in found
    tasks = {"slots": {"type": "sequence_labelling", "input": "more"}}
    check(changed(WORDS, inputs=both, tasks=tasks), data=ROWS)
    tasks["slots"]["input"] = "mroe"
    assert "which is not a text; did you mean 'more'?" in problems(
        changed(WORDS, inputs=both, tasks=tasks)
    )


def test_tasks_that_label_words_need_hard_sharing():
    sharing = {"sharing": {"type": "mmoe", "expert_width": 8}}
    assert "reads tokens, but this sharing scheme carries rows" in problems(
        changed(WORDS, model=sharing)
    )
    assert "give expert_width" in problems(changed(REVIEW, model={"sharing": "mmoe"}))


# Encoders --------------------------------------------------------------------------------------


def test_an_encoder_of_the_wrong_kind_is_told_at_its_key():
    review = {"type": "text", "encoder": "mlp"}
    found = problems(changed(REVIEW, inputs={"review": review}, model={"encoder": "lstm"}))
    assert (
        "model.encoder: lstm is not an encoder of numbers, categories and vectors; expected mlp"
        in found
    )
    assert "inputs.review.encoder: mlp is not an encoder of texts; expected bag or lstm or" in found


def test_an_encoder_for_nothing_is_refused():
    found = problems(changed(REVIEW, model={"encoder": {"hidden": [8]}}))
    assert "model.encoder: it is for numbers, categories and vectors, and there are none" in found


def test_a_model_of_texts_is_built_without_data():
    config = {
        "inputs": {
            "review": {"type": "text", "vocabulary": 50, "columns": ["a", "b"]},
            "age": "number",
        },
        "tasks": {"mood": {"type": "classification", "classes": 2}},
    }
    model = MultiTaskModel.from_config(config)
    review = {"ids": torch.tensor([[49, 3, 0]]), "segments": torch.tensor([[0, 1, 0]])}
    raw = model({"numbers": torch.zeros(1, 1), "texts": {"review": review}})
    assert raw["mood"].shape == (1, 2)


# Tokenizers ------------------------------------------------------------------------------------


def test_the_path_of_a_tokenizer_is_relative_to_the_config(tmp_path, monkeypatch):
    (tmp_path / "tok").mkdir()
    text = tokeniser_training.train("words", ROWS["review"]).to_json()
    (tmp_path / "tok" / "tokenizer.json").write_text(text, encoding="utf-8")
    config = changed(REVIEW, inputs={"review": {"type": "text", "tokenizer": "tok"}})
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    run = motet.train(tmp_path / "config.yaml", ROWS, ["training.epochs=1"], tmp_path / "run")
    assert str(tmp_path / "tok") in (run.path / "config.yaml").read_text()
    for file in (run.path / "model").iterdir():
        assert str(tmp_path).encode() not in file.read_bytes()
    shutil.rmtree(tmp_path / "tok")
    alone = motet.load(run.path / "model")
    assert alone.config.inputs["review"].tokenizer == "saved"
    assert alone.predict(ROWS).equals(run.predict(ROWS))


def test_a_folder_without_a_tokenizer_is_told_at_its_key(tmp_path):
    config = changed(REVIEW, inputs={"review": {"type": "text", "tokenizer": str(tmp_path)}})
    assert f"inputs.review.tokenizer: the folder {tmp_path} has no" in problems(config)


def test_a_run_of_texts_goes_on_exactly(tmp_path):
    changes = ["training.epochs=3", "training.checkpoint_every=3"]
    whole = motet.train(WORDS, ROWS, changes, tmp_path / "whole")
    parts = stopped(WORDS, tmp_path / "parts", data=ROWS, overrides=changes, step=14)
    assert same_weights(whole, motet.resume(parts, data=ROWS))
