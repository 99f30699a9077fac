"""Runs whose texts are bags of n-grams: trained, resumed, streamed, moved, and refused."""

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import motet
from motet.config import ConfigError
from motet.data.inputs.shapes import TextSizes
from motet.data.inputs.text import Text
from motet.encoders.presence import present_in
from motet.run import check
from tests.run.stopped_runs import same_weights, stopped

pytest.importorskip("tokenizers")

TEXTS = ["good shoes", "bad shoes", "a good hat", "a bad hat", "Good boots!", "the bad boots"]
ROWS = {
    "review": TEXTS * 20,
    "mood": ["glad", "sad"] * 60,
    "wears": ["shoes", "shoes", "hat", "hat", "shoes", "shoes"] * 20,
}
BAG = {"type": "bag", "buckets": 500, "width": 8, "characters": [3, 4]}
CONFIG = {
    "inputs": {"review": {"type": "text", "encoder": BAG}},
    "tasks": {"mood": "classification", "wears": "classification"},
    "training": {
        "epochs": 6,
        "batch_size": 16,
        "optimizer": {"learning_rate": 0.03},
        "device": "cpu",
    },
    "balancing": {"type": "pcgrad"},
}


def with_encoder(encoder, **sections):
    return {**CONFIG, "inputs": {"review": {"type": "text", "encoder": encoder}}, **sections}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return motet.train(CONFIG, ROWS, output=tmp_path_factory.mktemp("bags") / "run")


def test_a_bag_learns_two_tasks_and_knows_the_pieces_of_unknown_words(run):
    found = run.predict({"review": ["good shoes", "a bad hat", "goodish", None]})
    assert found["mood"].to_pylist()[:3] == ["glad", "sad", "glad"]
    assert found["wears"].to_pylist()[:2] == ["shoes", "hat"]


def test_the_model_folder_alone_predicts(run, tmp_path):
    rows = {"review": ["good shoes", "the worst hats ever", ""]}
    expected = run.predict(rows)
    shutil.copytree(run.path / "model", tmp_path / "moved")
    assert motet.load(tmp_path / "moved").predict(rows).equals(expected)


def test_a_run_of_bags_resumes_exactly(run, tmp_path):
    parts = stopped(CONFIG, tmp_path / "parts", data=ROWS, step=14)
    assert same_weights(run, motet.resume(parts, data=ROWS))


def test_bags_are_streamed(tmp_path):
    pq.write_table(pa.table(ROWS), tmp_path / "rows.parquet", row_group_size=30)
    data = {"source": str(tmp_path / "rows.parquet"), "stream": True}
    streamed = motet.train({**CONFIG, "data": data}, output=tmp_path / "run")
    assert streamed.predict({"review": TEXTS})["mood"].to_pylist() == ["glad", "sad"] * 3


def test_case_is_read_on_request(tmp_path):
    rows = {"review": ["Go", "go"] * 40, "mood": ["glad", "sad"] * 40}
    review = {"type": "text", "encoder": BAG, "lowercase": False}
    config = {**CONFIG, "inputs": {"review": review}, "tasks": {"mood": "classification"}}
    del config["balancing"]
    run = motet.load(motet.train(config, rows, output=tmp_path / "run").path)
    assert run.predict({"review": ["Go", "go"]})["mood"].to_pylist() == ["glad", "sad"]


@pytest.mark.parametrize(
    ("task", "rows", "message"),
    [
        (
            {"type": "sequence_labelling"},
            {"review": [["a", "b"], ["c"]] * 20, "t": [["O", "B-x"], ["O"]] * 20},
            r"tasks\.t.* reads a state of each word of input 'review', whose encoder bag gives one "
            r"state per text; .*bag\+lstm",
        ),
        (
            {"type": "masked_language_modelling"},
            ROWS,
            r"tasks\.t.* changes the tokens of input 'review', which its encoder bag does not read",
        ),
        (
            {"type": "word_order"},
            ROWS,
            r"tasks\.t.* changes the tokens of input 'review', which its encoder bag does not read",
        ),
    ],
)
def test_tasks_that_need_words_are_refused_with_the_reason(task, rows, message):
    tasks = {"t": task} if rows is not ROWS else {"mood": "classification", "t": task}
    config = with_encoder(BAG, tasks=tasks, balancing={"type": "equal"})
    with pytest.raises(ConfigError, match=message):
        check(config, data=rows)


def test_a_view_of_a_bag_has_fewer_n_grams(tmp_path):
    tasks = {"mood": "classification", "views": {"type": "contrastive", "views": "drop"}}
    config = with_encoder(BAG, tasks=tasks, balancing={"type": "equal"})
    changes = ["training.epochs=2"]
    run = motet.train(config, ROWS, changes, output=tmp_path / "run")
    losses = [e["tasks"]["views"]["loss"] for e in run.history.records if e["event"] == "epoch"]
    assert losses[-1] < losses[0]


def test_pieces_of_words_in_the_wrong_order_are_refused_at_their_key():
    with pytest.raises(ConfigError, match=r"characters: found \[5, 3\], expected the smaller"):
        check(with_encoder({"type": "bag", "characters": [5, 3]}), data=ROWS)
    beside = {"type": "bag+lstm", "bag": {"characters": [5, 3]}}
    with pytest.raises(ConfigError, match=r"review\.encoder\.bag\.characters: found \[5, 3\]"):
        check(with_encoder(beside), data=ROWS)


@pytest.mark.parametrize("given", [{"tokenizer": "words"}, {"vocabulary": 500}, {"min_count": 1}])
def test_options_of_tokens_that_a_bag_does_not_read_are_refused_at_their_key(given):
    review = {"type": "text", "encoder": BAG, **given}
    with pytest.raises(ConfigError, match=rf"review\.{next(iter(given))}: .* does not read"):
        check({**CONFIG, "inputs": {"review": review}}, data=ROWS)


def test_a_bag_needs_no_tokenizer(monkeypatch):
    monkeypatch.setattr("motet.data.tokenising.library", pytest.fail)
    text = Text("review", encoder=BAG, max_length=2)
    table = pa.table({"review": ["Good shoes", "", None, "a good hat"]})
    text.observe(table)
    text.finish()
    loaded = Text("review")
    loaded.load(json.loads(json.dumps(text.state())))
    for each in (text, loaded):
        tree, notes = each.apply(table)
        assert {*tree} == {"grams"}
        assert {found.what: count for found, count in notes.counts.items()} == {
            "have no text": 2,
            "have more than 2 words, the rest is cut off (max_length)": 1,
        }
        assert text.shape() == text.declared() == TextSizes(0)


def test_a_row_without_words_lacks_its_bag():
    found = present_in("review", {"grams": torch.tensor([[3, 1], [0, 0]])}, empty=0)
    assert found.tolist() == [True, False]
    nothing = {"grams": torch.zeros(2, 0, dtype=torch.int32)}
    assert present_in("review", nothing, empty=0).tolist() == [False, False]


LETTERS = {"width": 4, "longest": 6}
BESIDE = {"type": "bag+lstm", "bag": BAG, "lstm": {"width": 8, "characters": LETTERS}}


def test_words_are_labelled_with_a_bag_beside_an_lstm_that_reads_letters(tmp_path):
    words = [["fly", "to", "lima"], ["to", "lima", "fast"], ["a", "lima", "bean"]] * 20
    tags = [["O", "O", "B-city"], ["O", "B-city", "O"], ["O", "O", "O"]] * 20
    rows = {"words": words, "kind": ["trip", "trip", "food"] * 20, "slots": tags}
    words_of = {"type": "text", "encoder": BESIDE, "vocabulary": "auto"}
    config = {
        "inputs": {"words": words_of},
        "tasks": {"kind": "classification", "slots": "sequence_labelling"},
        "training": CONFIG["training"] | {"epochs": 12},
        "balancing": {"type": "mgda"},
    }
    run = motet.train(config, rows, output=tmp_path / "run")
    assert run.config.inputs["words"].options()["vocabulary"] == 2_000
    found = motet.load(run.path / "model").predict({"words": words[:3]})
    assert found["slots"].to_pylist() == tags[:3]
    assert found["kind"].to_pylist() == ["trip", "trip", "food"]


def test_a_view_whose_tokens_are_hidden_shows_no_n_grams_either():
    from motet.tasks import MaskedLanguageModelling
    from motet.vocabularies import Vocabulary

    task = MaskedLanguageModelling("words", share=0.9)
    task.vocabulary = Vocabulary(50, special=(0,), mask=4, unknown=1)
    text = {"ids": torch.full((3, 7), 9), "grams": torch.full((3, 12), 5)}
    seen, _ = task.view(text, torch.Generator().manual_seed(0))
    assert seen["grams"].tolist() == [[0], [0], [0]]
