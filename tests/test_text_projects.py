"""The worked projects on texts: their configs train as they are, and learn what they should."""

import json
from pathlib import Path

import pytest

import motet
from motet.data.sources import read

ROOT = Path(__file__).parents[1]
FEW = ["data.source=null", "training.epochs=1", "training.batch_size=64"]


def few(source, train):
    """Some rows of each part."""
    table = read(source)
    rows = []
    for part, count in {"train": train, "validation": 60, "test": 60}.items():
        places = [row for row, value in enumerate(table["split"].to_pylist()) if value == part]
        rows += places[:: max(1, len(places) // count)][:count]
    return table.take(rows)


@pytest.mark.slow
def test_sentiment_and_topic_take_two_steps(tmp_path):
    config = ROOT / "examples" / "clothing.yaml"
    run = motet.train(config, few("motet://clothing", 128), FEW, tmp_path / "run")
    found = motet.load(run.path / "model").predict({"title": [None], "text": ["Lovely dress"]})
    assert {"recommended", "rating", "department"} <= set(found.column_names)


def test_experts_with_an_auxiliary_task_at_every_tenth_step(tmp_path):
    config = ROOT / "examples" / "clothing_experts.yaml"
    seen, step = [], motet.Trainer.train_step
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            motet.Trainer,
            "train_step",
            lambda self, rows: seen.append(step(self, rows)) or seen[-1],
        )
        few_rows = [*FEW, "training.batch_size=12"]
        run = motet.train(config, few("motet://clothing", 250), few_rows, tmp_path / "run")
    with_words = [number for number, each in enumerate(seen, 1) if "hidden_words" in each.losses]
    assert with_words == [10, 20]
    assert set(seen[9].balanced.tasks) == {"recommended", "rating", "department"}
    found = motet.load(run.path / "model").predict({"title": [None], "text": ["Lovely dress"]})
    assert not any(name.startswith("hidden_words") for name in found.column_names)


@pytest.mark.parametrize("name", ["snips", "snips_joint"])
def test_intent_and_slots_take_two_steps(name, shared_data, tmp_path):
    config = ROOT / "examples" / f"{name}.yaml"
    rows = few(shared_data(f"{name}.parquet"), 150)
    run = motet.train(config, rows, FEW, tmp_path / "run")
    (found,) = run.predict({"tokens": [["play", "some", "jazz"]]}).to_pylist()
    assert len(found["slots"]) == 3


def test_reviews_of_three_modalities_are_predicted_without_title_or_text(shared_data, tmp_path):
    config = ROOT / "examples" / "clothing_modalities.yaml"
    rows = few(shared_data("clothing_reviews.parquet"), 150)
    run = motet.train(config, rows, FEW, tmp_path / "run")
    weights = run.evaluate(rows, split="test").fusion
    assert list(weights) == ["table", "title", "text"]
    assert sum(weights.values()) == pytest.approx(1)
    words = {"title": [None, "Lovely", None], "text": ["Lovely dress", None, None]}
    found = run.predict({**words, "age": [40, 40, 40], "feedback_count": [0, 0, 0]})
    assert len(set(found["rating_probability_5"].to_pylist())) == 3


def metrics_of(run):
    """The metrics of each task on the test part."""
    *_, last = (run.path / "metrics.jsonl").read_text().splitlines()
    return json.loads(last)["tasks"]


@pytest.mark.slow
def test_sentiment_and_topic_are_learned_from_4039_reviews(tmp_path):
    run = motet.train(ROOT / "examples" / "clothing.yaml", output=tmp_path / "run")
    found = metrics_of(run)
    assert found["recommended"]["accuracy"] > 0.9  # always yes: 0.834
    assert found["rating"]["accuracy"] > 0.63  # always five stars: 0.569
    assert found["department"]["accuracy"] > 0.81  # always tops: 0.467


@pytest.mark.slow
def test_intent_and_slots_are_better_than_words_by_themselves(shared_data, tmp_path):
    changes = [f"data.source={shared_data('snips.parquet')}"]
    run = motet.train(ROOT / "examples" / "snips.yaml", overrides=changes, output=tmp_path / "run")
    found = metrics_of(run)
    assert found["intent"]["accuracy"] > 0.97
    # each word for itself, from a window of features: 0.836
    assert found["slots"]["span_f1"] > 0.9


@pytest.mark.slow
def test_letters_and_word_dropout_reach_the_slots_of_published_models(shared_data, tmp_path):
    config = ROOT / "examples" / "snips_joint.yaml"
    changes = [f"data.source={shared_data('snips_joint.parquet')}"]
    found = metrics_of(motet.train(config, overrides=changes, output=tmp_path / "run"))
    assert found["intent"]["accuracy"] > 0.97
    assert found["slots"]["span_f1"] > 0.93  # slot-gated attention: 0.888
    assert found["slots"]["sentence_exact+intent"] > 0.82
