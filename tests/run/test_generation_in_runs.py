"""Generated texts in whole runs: from a config to a folder that writes texts for later rows."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
import torch

import motet
from motet.config import ConfigError
from motet.data.targets import TextTarget
from motet.run import check
from motet.run.initialising import initial_config
from motet.tasks import Generation, Prediction

pytest.importorskip("tokenizers")

COLOURS = {"red": "rot", "green": "grün", "blue": "blau", "black": "schwarz"}
THINGS = {"shoes": "Schuhe", "hat": "Hut", "coat": "Mantel", "socks": "Socken"}
MOODS = {"good": "yes", "nice": "yes", "bad": "no", "awful": "no"}


def rows(count=300, seed=0):
    """Reviews, whether they are good, and what they are about in another language."""
    rng = np.random.default_rng(seed)
    picked = [[rng.choice(list(each)) for each in (MOODS, COLOURS, THINGS)] for _ in range(count)]
    german = [f"{COLOURS[colour]} {THINGS[thing]}" for _, colour, thing in picked]
    return {
        "review": [" ".join(words) for words in picked],
        "liked": [MOODS[mood] for mood, _, _ in picked],
        "german": [None if rng.random() < 0.1 else text for text in german],
    }


ROWS = rows()
CONFIG = {
    "inputs": {
        "review": {
            "type": "text",
            "tokenizer": "words",
            "min_count": 1,
            "encoder": {"type": "lstm", "width": 32, "dropout": 0.0},
        }
    },
    "tasks": {
        "liked": "classification",
        "german": {"type": "generation", "tokenizer": "words", "width": 32, "dropout": 0.0},
    },
    "training": {
        "epochs": 8,
        "batch_size": 16,
        "optimizer": {"learning_rate": 0.02},
        "device": "cpu",
    },
}


def changed(task=(), **training):
    german = {**CONFIG["tasks"]["german"], **dict(task)}
    tasks = {**CONFIG["tasks"], "german": german}
    return {**CONFIG, "tasks": tasks, "training": {**CONFIG["training"], **training}}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return motet.train(CONFIG, ROWS, output=tmp_path_factory.mktemp("generation") / "run")


def test_two_tasks_learn_a_mapping_of_words_within_seconds(run):
    report = run.evaluate(rows(200, seed=1))
    assert report["german"]["exact_match"] > 0.9
    assert report["german"]["token_f1"] > 0.9
    assert report["german"]["perplexity"] == pytest.approx(np.exp(report["german"]["loss"]))
    assert report["liked"]["auroc"] > 0.99
    assert report.scores["german"] > 0.85
    assert 0 < report["german"]["count"] < 200


def test_predictions_are_readable_texts_from_csv_and_from_the_model_folder_alone(run, tmp_path):
    later = rows(50, seed=2)
    pa.csv.write_csv(pa.table({"review": later["review"]}), tmp_path / "later.csv")
    found = motet.load(run.path / "model").predict(tmp_path / "later.csv")
    assert found.column_names[0] == "liked"
    assert found["german"].type == pa.string()
    pairs = zip(found["german"].to_pylist(), later["german"], strict=True)
    known = [(text, true) for text, true in pairs if true is not None]
    assert sum(text == true for text, true in known) > 0.8 * len(known)


def test_the_folder_tells_how_well_texts_are_generated(run):
    card = (run.path / "model" / "README.md").read_text()
    assert "exact_match" in card
    assert "texts of 10 tokens" in card  # 4 colours, 4 things, the end, the unknown one
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    epochs = [line for line in lines if line["event"] == "epoch"]
    assert {"exact_match", "token_f1", "perplexity", "loss"} <= epochs[-1]["tasks"]["german"].keys()


@pytest.mark.slow
def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(tmp_path):
    search = {"beams": 2, "length_form": "gnmt", "length_penalty": 0.6}
    config = changed({"decoder": "transformer", "dropout": 0.1, **search}, epochs=3)

    def stop(line):
        if line.startswith("epoch") and " 1/3 " in line:
            raise KeyboardInterrupt

    whole = motet.train(config, ROWS, output=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        motet.train(config, ROWS, output=tmp_path / "stopped", say=stop)
    resumed = motet.resume(tmp_path / "stopped", ROWS)
    one, other = (each.model.state_dict() for each in (whole, resumed))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
def test_states_of_a_frozen_encoder_are_those_that_are_computed_again(tmp_path, monkeypatch):
    monkeypatch.setenv("MOTET_CACHE", str(tmp_path / "cache"))
    said = []
    config = changed(epochs=2, freeze=["encoder"])
    kept = motet.train(config, ROWS, output=tmp_path / "kept", say=said.append)
    assert any("texts by a frozen encoder" in line for line in said)
    plain = motet.train(config, ROWS, ["training.cache_frozen=false"], tmp_path / "plain")
    for name, values in kept.model.state_dict().items():
        torch.testing.assert_close(values, plain.model.state_dict()[name], rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("tokenizer", ["bpe", "characters"])
def test_texts_are_spelt_as_in_the_labels(tokenizer):
    texts = ["Año  2026, at 5 o'clock", "co-op: “yes”", "[PAD]\n[UNK]", "", "雨 🙂"]
    target = TextTarget("text", tokenizer=tokenizer)
    target.fit(pa.table({"text": texts}))
    again = TextTarget("text")
    again.load(json.loads(json.dumps(target.state())))
    encoded = again.encode(pa.table({"text": texts}))
    assert again.predictions(np.where(encoded == 0, -100, encoded))["text"].to_pylist() == texts


def test_labels_that_are_too_long_are_noted_and_never_equal_to_what_is_generated():
    target = TextTarget("text", tokenizer="words", max_length=2)
    target.fit(pa.table({"text": ["a b", "a b c", "a b c d", None]}))
    assert "2 of 3 labelled training rows have more than 2 tokens" in target.notes[0]
    encoded = target.encode(pa.table({"text": ["a b", "a b c d", None, ""]}))
    assert (encoded[0] == 0).sum() == 1
    assert (encoded[1] > 0).all()
    assert (encoded[2] == -100).all()
    assert encoded[3, 0] == 0
    assert target.learned()["max_length"] == 2


def test_words_beyond_the_vocabulary_are_noted():
    target = TextTarget("text", tokenizer="words", vocabulary_size=4)
    target.fit(pa.table({"text": ["a b", "a c", "a b d"]}))
    assert "2 of 7 tokens of the training labels are not among the 4" in target.notes[0]
    assert 1 in target.encode(pa.table({"text": ["d"]}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beams": 1, "length_penalty": 0.5}, "german.length_penalty: applies only with several"),
        ({"width": 30}, "german.heads: found 4, expected a number that divides width: 30"),
        ({"tokenizer": "bpe", "vocabulary_size": 99}, "german.vocabulary_size: found 99, expected"),
        ({"input": "revie"}, "german.input: found 'revie', .* did you mean 'review'"),
        ({"metrics": ["accuracy"]}, "german.metrics: .*exact_match, token_f1, perplexity"),
        ({"max_length": 0}, "german.max_length"),
        ({"decoder": "grue"}, "german.decoder: found 'grue'.* did you mean 'gru'"),
    ],
)
def test_mistakes_are_reported_at_their_place(options, message):
    with pytest.raises(ConfigError, match=message):
        check(changed(options), data=ROWS)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([None] * 300, "has no text in the .* training rows"),
        (["rot"] * 300, "has 'rot' in every row"),
        ([["rot"]] * 300, "expected texts; lists of labels are for multi_label"),
    ],
)
def test_columns_without_texts_are_refused(column, message):
    with pytest.raises(ConfigError, match=message):
        check(CONFIG, data={**ROWS, "german": column})


def test_perplexity_cannot_be_monitored_as_it_gives_no_score():
    with pytest.raises(ConfigError, match="another form of the loss"):
        check(changed({"metrics": ["perplexity"]}, monitor="german"), data=ROWS)


def test_init_writes_it_where_it_is_asked_for(tmp_path):
    pa.csv.write_csv(pa.table(ROWS), tmp_path / "rows.csv")
    text = initial_config(str(tmp_path / "rows.csv"), ["liked", "german:generation"], tmp_path)
    assert "german: {type: generation}" in text


def test_a_table_alone_is_read_as_one_state(tmp_path):
    table = {"colour": ["red", "green", "blue", "black"] * 50, "other": list(range(200))}
    table["german"] = [COLOURS[each] for each in table["colour"]]
    config = {
        "inputs": {"colour": "category"},
        "tasks": {"german": {**CONFIG["tasks"]["german"], "tokenizer": "characters"}},
        "training": {"epochs": 20, "batch_size": 16, "optimizer": {"learning_rate": 0.02}},
    }
    found = motet.train(config, table, output=tmp_path / "run").predict(table)
    assert found["german"].to_pylist() == table["german"]


def test_a_model_without_data_needs_the_sizes():
    inputs = {"review": {**CONFIG["inputs"]["review"], "vocabulary": 50}}
    config = {"inputs": inputs, "tasks": CONFIG["tasks"] | {"liked": {"type": "regression"}}}
    with pytest.raises(ConfigError, match="vocabulary_size is not known; give it"):
        motet.MultiTaskModel.from_config(config)
    config["tasks"]["german"] = {"type": "generation", "vocabulary_size": 20, "max_length": 5}
    model = motet.MultiTaskModel.from_config(config)
    text = {"texts": {"review": {"ids": torch.ones(3, 4).long()}}}
    assert model(text)["german"].shape[0] == 3


def test_folds_are_refused_as_each_has_a_vocabulary_of_its_own():
    config = {**CONFIG, "data": {"split": {"folds": 3}}}
    with pytest.raises(ConfigError, match=r"split.folds: task 'german' generates texts"):
        motet.train(config, data=ROWS)


def test_texts_of_several_models_are_those_that_most_of_them_write():
    task = Generation("text", vocabulary_size=9, max_length=3)
    found = [[[4, -100], [5, 6]], [[4, 5, 6], [5, 6, -100]], [[4, -100, -100], [7, 7, 7]]]
    combined = task.combine([Prediction(torch.tensor(each)) for each in found])
    assert combined.value.tolist() == [[4, -100, -100], [5, 6, -100]]


@pytest.mark.parametrize("sharing", [{"type": "hard"}, {"type": "mmoe", "expert_width": 8}])
def test_it_trains_beside_masked_words_and_with_weights_of_rows(tmp_path, sharing):
    config = changed({"row_weight": "weight", "weighted_metrics": True}, epochs=1)
    config["tasks"]["words"] = {"type": "masked_language_modelling"}
    table = {**ROWS, "weight": [1.0 + row % 2 for row in range(300)]}
    run = motet.train({**config, "model": {"sharing": sharing}}, table, output=tmp_path / "run")
    assert run.history.records[-1]["tasks"]["german"]["perplexity"] > 1
    assert run.predict(table)["german"].type == pa.string()


def test_perplexity_under_weights_is_that_of_weighted_rows_or_refused(tmp_path):
    table = {**ROWS, "weight": [1.0 + row % 2 for row in range(300)]}
    with pytest.raises(ConfigError, match="found 'perplexity' and weights of rows: it is another"):
        check(changed({"row_weight": "weight", "metrics": ["perplexity"]}), data=table)
    weighted = changed({"row_weight": "weight", "weighted_metrics": True}, epochs=1)
    run = motet.train(weighted, table, output=tmp_path / "run")
    table = {**rows(100, seed=1), "weight": [1.0 + row % 2 for row in range(100)]}
    found = run.evaluate(table)["german"]
    known = [text is not None for text in table["german"]]
    right = np.array(run.predict(table)["german"].to_pylist(), object) == table["german"]
    w = np.where(known, table["weight"], 0)
    assert found["exact_match"] == pytest.approx((w * right).sum() / w.sum())
    assert found["perplexity"] == pytest.approx(np.exp(found["loss"]))
    heavy = {**table, "weight": [each * 100 for each in table["weight"]]}
    assert run.evaluate(heavy)["german"]["perplexity"] == pytest.approx(found["perplexity"])
