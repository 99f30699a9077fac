"""Predictions written to a file are read back as they were."""

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import motet
from motet.data import list_texts
from motet.data.sources import read
from motet.registry import LABELS
from motet.run import write_predictions

TABLE = pa.table(
    {
        "churn": ["yes", "nö", 'a "quoted"\nline'],
        "churn_probability_yes": [0.9, 0.1, 1 / 3],
        "spend": [1.5, float("nan"), 3.0],
        "tags": [["red", "big"], [], ["red"]],
        "digit": [7, 8, 9],
    }
)


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_what_is_written_is_read_back(tmp_path, suffix):
    path = tmp_path / f"predictions{suffix}"
    write_predictions(TABLE, path)
    expected = {**TABLE.to_pydict(), "spend": [1.5, None, 3.0]}
    assert read(path).to_pydict() == expected


def test_json_lines_are_strict_json_one_object_per_row(tmp_path):
    path = tmp_path / "predictions.jsonl"
    write_predictions(TABLE, path)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 3
    assert "NaN" not in lines[1]
    assert json.loads(lines[1])["spend"] is None
    assert "nö" in lines[1]


def test_csv_has_lists_as_texts(tmp_path):
    path = tmp_path / "predictions.csv"
    write_predictions(TABLE, path)
    assert read(path)["tags"].to_pylist() == ["red big", "[]", "red"]


VALUES = st.text(min_size=1, max_size=6) | st.sampled_from(
    ["O", "B-x", "very good", ";", "[", "[1]", "]", '"', "NA", "null", "7", "007", " ", ""]
)


def test_json_keeps_the_spelling_of_truth_values_and_deep_nesting_is_a_text():
    assert list_texts.read("[true, false, null, 1]") == ["true", "false", None, "1"]
    deep = "[" * 100_000
    assert list_texts.read(deep) == [deep]


@given(st.lists(st.lists(VALUES, max_size=4), min_size=1, max_size=5))
def test_lists_of_labels_are_read_back_from_csv_as_they_were(tmp_path_factory, lists):
    lists = [[each.replace("\0", "") for each in values] for values in lists]
    path = tmp_path_factory.mktemp("lists") / "predictions.csv"
    write_predictions(pa.table({"tags": pa.array(lists, pa.list_(pa.string()))}), path)
    cells = read(path, strings=["tags"])["tags"]
    assert list_texts.read_column(cells).to_pylist() == lists


@pytest.mark.parametrize(
    "tags",
    [[["O", "B-x"], ["O"], ["B-x", "I-x", "O"]], [[1, 0], [7], [0, 0, 1]]],
    ids=["texts", "whole numbers"],
)
def test_predicted_tags_are_labels_for_whoever_reads_the_file(tmp_path, tags):
    target = LABELS["tags"]("slots")
    target.fit(pa.table({"slots": tags}))
    found = target.encode(pa.table({"slots": tags}))
    write_predictions(pa.table(target.predictions(found)), tmp_path / "slots.csv")
    again = read(tmp_path / "slots.csv", strings=["slots"])
    assert target.encode(again).tolist() == found.tolist()


def test_predicted_labels_are_labels_for_whoever_reads_the_file(tmp_path):
    lists = [["red", "very big"], [], ["red"]]
    target = LABELS["indicators"]("tags")
    target.fit(pa.table({"tags": lists}))
    found = target.encode(pa.table({"tags": lists}))
    write_predictions(pa.table(target.predictions(found)), tmp_path / "tags.csv")
    assert target.encode(read(tmp_path / "tags.csv")).tolist() == found.tolist()


def test_a_run_that_kept_each_tasks_weights_predicts_with_them_from_its_model_alone(tmp_path):
    rows = {"x": [float(row % 20) for row in range(120)]}
    rows["a"] = [2 * x + (row % 7) for row, x in enumerate(rows["x"])]
    rows["b"] = [["no", "yes"][x + row % 5 > 11] for row, x in enumerate(rows["x"])]
    config = {
        "tasks": {"a": "regression", "b": "classification"},
        "training": {"epochs": 8, "batch_size": 16, "keep": "each", "monitor": "any"},
    }
    config["training"]["optimizer"] = {"type": "adamw", "learning_rate": 0.2}
    run = motet.train(config, data=rows, output=tmp_path / "run")
    alone = motet.load((run.path / "model").rename(tmp_path / "model"))
    assert alone.predict(rows, weights="each").equals(run.predict(rows, weights="each"))
    validation = run.history.table().to_pylist()
    for task, metric in (("a", "r2"), ("b", "auroc")):
        own = [r["value"] for r in validation if (r["task"], r["metric"]) == (task, metric)]
        found = run.evaluate(rows, split="validation", weights="each")
        assert found[task][metric] == pytest.approx(max(own), rel=1e-5)
