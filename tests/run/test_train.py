"""A whole run: what lies in its folder, what it prints, and that it can be repeated."""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import torch
import yaml

import motet
from motet.config import Config, ConfigError, read
from motet.datasets import DEMO
from motet.problems import InputError
from motet.run.origin_rows import read_fingerprint

ROOT = Path(__file__).parents[2]
CONFIG = {
    "tasks": {"churn": {"type": "classification"}, "spend": {"type": "regression"}},
    "model": {"encoder": {"hidden": [8]}},
    "training": {"epochs": 2, "batch_size": 32},
}


def changed(**sections):
    return {**CONFIG, **sections}


def weights_of(path):
    return (path / "model/model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def run(tmp_path_factory, people):
    folder = tmp_path_factory.mktemp("runs")
    pa.csv.write_csv(people, folder / "people.csv")
    config = {"data": {"source": "people.csv"}, **CONFIG}
    (folder / "people.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return motet.train(folder / "people.yaml", output=folder / "run")


# The folder ------------------------------------------------------------------------------------


def test_the_folder_holds_what_the_contract_says(run):
    files = {str(path.relative_to(run.path)) for path in run.path.rglob("*") if path.is_file()}
    assert {name for name in files if not name.startswith("checkpoints/")} == {
        "config.yaml",
        "metrics.jsonl",
        "environment.json",
        "data.json",
        "predictions/test.parquet",
        "model/model.safetensors",
        "model/config.json",
        "model/preprocessing.json",
        "model/learned.json",
        "model/README.md",
    }
    assert {path.name for path in run.path.iterdir() if path.is_dir()} <= {
        "checkpoints",
        "model",
        "predictions",
    }


def test_the_config_is_written_with_every_default_and_reads_as_the_same(run):
    written = yaml.safe_load((run.path / "config.yaml").read_text())
    assert list(written["inputs"]) == ["age", "income", "city"]
    assert written["training"]["optimizer"]["learning_rate"] == 0.003
    assert written["tasks"]["churn"]["label_smoothing"] is None
    assert read(run.path / "config.yaml")[0] == motet.load(run.path).config
    assert Path(written["data"]["source"]) == run.path.parent / "people.csv"


def test_metrics_are_one_json_object_a_line(run):
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    records = [json.loads(line, parse_constant=pytest.fail) for line in lines]
    assert [(r["event"], r["epoch"], r["split"]) for r in records] == [
        ("epoch", 1, "train"),
        ("epoch", 1, "validation"),
        ("epoch", 2, "train"),
        ("epoch", 2, "validation"),
        ("test", run.history.best_epoch, "test"),
    ]
    for record in records:
        assert record["tasks"].keys() == {"churn", "spend"}
        assert record.keys() >= {"event", "step", "epoch", "split", "seconds", "tasks"}
    for record in records[1::2]:
        assert record["tasks"]["spend"].keys() == {"r2", "mae", "rmse", "loss", "count"}
        assert isinstance(record["score"], float)


def test_the_environment_says_what_the_run_was_made_with(run):
    found = json.loads((run.path / "environment.json").read_text())
    assert set(found["packages"]) >= {"motet", "torch", "numpy", "pyarrow"}
    assert found["python"].startswith("3.")


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is measured on Linux alone")
def test_the_environment_has_the_peak_of_the_memory(run):
    peak = json.loads((run.path / "environment.json").read_text())["peak_memory"]
    assert 2e7 < peak < 1e11  # bytes
    assert read_fingerprint(run.path) is not None  # it was sealed again


def test_the_model_folder_holds_no_path_and_no_pickle(run):
    for path in (run.path / "model").iterdir():
        content = path.read_bytes()
        assert str(run.path.parent).encode() not in content, path.name
        if path.suffix != ".md":  # the card may name the data
            assert b"people.csv" not in content, path.name
        assert not content.startswith((b"\x80", b"PK")), path.name
        assert b"/tmp" not in content
        assert b"/home" not in content
    json.loads((run.path / "model/config.json").read_text(), parse_constant=pytest.fail)


def test_the_model_folder_holds_counts_and_moments_of_the_training_labels(run, people):
    labels = json.loads((run.path / "model/learned.json").read_text())["labels"]
    assert set(labels) == {"churn", "spend"}
    assert labels["churn"]["labelled"] == sum(labels["churn"]["totals"][0])
    assert labels["spend"]["means"] == pytest.approx([0.0], abs=1e-6)  # standardised
    assert labels["spend"]["rows"] < len(people)


def test_the_model_card_says_what_it_predicts_from_what_and_how_well(run):
    text = (run.path / "model/README.md").read_text()
    for word in ("churn, spend", "age", "auroc", "r2", "motet.load", "hard sharing"):
        assert word in text


def test_test_predictions_stand_beside_the_true_labels(run, people):
    table = pq.read_table(run.path / "predictions/test.parquet")
    assert table.column_names == [
        "row",
        "churn_true",
        "spend_true",
        "churn",
        "churn_probability_no",
        "churn_probability_yes",
        "spend",
    ]
    report = json.loads((run.path / "metrics.jsonl").read_text().splitlines()[-1])
    known = [row for row in table.to_pylist() if row["churn_true"] is not None]
    right = np.mean([row["churn"] == row["churn_true"] for row in known])
    assert report["tasks"]["churn"]["accuracy"] == pytest.approx(right)
    assert report["tasks"]["churn"]["count"] == len(known)


def test_test_rows_can_be_held_back_and_evaluated_later(tmp_path, people, run):
    held = changed(data={"evaluate_test": False})
    path = motet.train(held, data=people, output=tmp_path / "held").path
    assert "test rows were not evaluated" in (path / "model/README.md").read_text()
    assert not (path / "predictions").exists()
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    assert {line["split"] for line in lines} == {"train", "validation"}
    assert weights_of(path) == weights_of(run.path)
    later = motet.load(path).evaluate(people, split="test")
    tested = json.loads((run.path / "metrics.jsonl").read_text().splitlines()[-1])
    assert later["score"] == pytest.approx(tested["score"])


def test_folds_do_not_hold_back_their_test_rows():
    data = {"evaluate_test": False, "split": {"folds": 3}}
    with pytest.raises(ConfigError, match="evaluate_test: false and split"):
        Config(**changed(data=data))


def test_nothing_is_written_outside_the_folder(tmp_path, people, monkeypatch):
    monkeypatch.chdir(tmp_path)
    motet.train(CONFIG, data=people, output="here")
    assert [path.name for path in tmp_path.iterdir()] == ["here"]
    motet.train(CONFIG, data=people)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["run-001"]


# Data from Python ------------------------------------------------------------------------------


def test_a_frame_an_arrow_table_a_mapping_and_a_file_give_the_same_model(tmp_path, people, run):
    sources = {
        "frame": people.to_pandas(),
        "arrow": people,
        "mapping": {name: people[name].to_pylist() for name in people.column_names},
    }
    expected = run.predict(people)
    for name, source in sources.items():
        found = motet.train(CONFIG, data=source, output=tmp_path / name).predict(people)
        assert found.schema == expected.schema, name
        np.testing.assert_allclose(found["spend"], expected["spend"], rtol=1e-6)


def test_a_config_may_be_an_object_a_mapping_or_a_path(tmp_path, people):
    config = Config.model_validate(CONFIG)
    path = tmp_path / "people.yaml"
    path.write_text(yaml.safe_dump(CONFIG))
    for place, each in enumerate((config, CONFIG, path, str(path))):
        run = motet.train(each, data=people, output=tmp_path / str(place))
        assert run.config.training.epochs == 2


def test_overrides_change_the_config(tmp_path, people):
    run = motet.train(
        CONFIG,
        data=people,
        overrides=["training.epochs=1", "balancing=uncertainty", "tasks.spend.loss=mae"],
        output=tmp_path / "run",
    )
    assert len(run.history) == 1
    written = yaml.safe_load((tmp_path / "run/config.yaml").read_text())
    assert written["balancing"]["type"] == "uncertainty"
    assert written["tasks"]["spend"]["loss"] == "mae"


def test_data_must_come_from_one_place(tmp_path, people):
    with pytest.raises(InputError, match=r"data\.source: found data from Python"):
        motet.train({**CONFIG, "data": {"source": "x.csv"}}, data=people, output=tmp_path / "run")
    with pytest.raises(InputError, match="found no data"):
        motet.train(CONFIG, output=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


# Seeds, tasks, missing labels --------------------------------------------------------------------


def digest(run):
    return hashlib.sha256((run.path / "model/model.safetensors").read_bytes()).hexdigest()


def test_the_same_seed_gives_the_same_bits_and_another_does_not(tmp_path, people):
    runs = []
    for place, seed in enumerate((3, 3, 4)):
        torch.manual_seed(place)  # what the user drew before does not matter
        config = changed(training={"seed": seed, "epochs": 2, "batch_size": 32})
        runs.append(motet.train(config, data=people, output=tmp_path / str(place)))
    first, second, other = runs
    assert digest(first) == digest(second) != digest(other)
    names = ("config.yaml", "model/preprocessing.json", "predictions/test.parquet")
    for name in names:
        assert (first.path / name).read_bytes() == (second.path / name).read_bytes()


def test_with_half_of_a_tasks_labels_removed_both_tasks_train_and_no_row_is_lost(tmp_path, people):
    spend = people["spend"].to_pylist()
    spend = [None if place % 2 else value for place, value in enumerate(spend)]
    table = people.set_column(4, "spend", pa.array(spend))
    lines = []
    config = changed(training={"epochs": 4, "batch_size": 32})
    run = motet.train(config, data=table, output=tmp_path / "run", say=lines.append)
    records = run.history.records
    for task in ("churn", "spend"):
        curve = run.history.curve(task, split="train")
        assert curve[-1] < curve[0]
    assert records[0]["step"] == -(-168 // 32)  # every training row, labelled or not
    shown = next(line for line in lines if line.split()[0] == "spend")
    labelled = sum(value is not None for value in spend)
    counts = [int(n) for n in shown.split("labelled:")[1].split() if n.isdigit()]
    assert sum(counts) == labelled
    whole = people["churn"].null_count
    shown = next(line for line in lines if line.startswith("tasks"))
    counts = [int(n) for n in shown.split("labelled:")[1].split() if n.isdigit()]
    assert sum(counts) == 240 - whole
    assert run.predict(table).num_rows == 240


def test_a_disabled_task_is_neither_trained_nor_predicted(tmp_path, people):
    tasks = {**CONFIG["tasks"], "spend": {"type": "regression", "enabled": False}}
    run = motet.train(changed(tasks=tasks), data=people, output=tmp_path / "run")
    assert run.history.records[-1]["tasks"].keys() == {"churn"}
    assert not any("spend" in name for name in run.predict(people).column_names)
    assert not any("spend" in name for name in motet.load(run.path).predict(people).column_names)


def test_without_a_test_part_the_card_says_that_quality_is_not_known(tmp_path, people):
    config = changed(data={"split": {"validation": 0.2, "test": 0.0}})
    run = motet.train(config, data=people, output=tmp_path / "run")
    assert not (run.path / "predictions").exists()
    assert "unknown" in (run.path / "model/README.md").read_text()


def test_the_model_has_the_weights_of_the_best_epoch(tmp_path, people):
    training = {
        "epochs": 30,
        "batch_size": 8,
        "optimizer": {"learning_rate": 0.1},
        "early_stopping": {"patience": 3},
    }
    table = people.append_column(
        "part", pa.array(["train"] * 40 + ["validation"] * 100 + ["test"] * 100)
    )
    config = changed(training=training, data={"split": {"column": "part"}})
    run = motet.train(config, data=table, output=tmp_path / "run")
    scores = [r["score"] for r in run.history if r["split"] == "validation"]
    best = int(np.argmax(scores))
    assert best + 4 == len(scores) < 30
    assert run.history.best_epoch == best + 1
    assert run.evaluate(table.slice(40, 100))["score"] == pytest.approx(scores[best], rel=1e-4)


def test_multi_label_and_vectors_go_all_the_way(tmp_path):
    rng = np.random.default_rng(0)
    clip = rng.normal(size=(200, 4))
    table = {
        "clip": clip,
        "t_a": (clip[:, 0] > 0).astype(int),
        "t_b": (clip[:, 1] > 0).astype(int),
        "area": clip[:, 2],
    }
    config = changed(
        tasks={"tags": {"type": "multi_label", "columns": "t_*"}, "area": {"type": "regression"}}
    )
    run = motet.train(config, data=table, output=tmp_path / "run")
    assert list(run.config.inputs) == ["clip"]
    predicted = run.predict({"clip": clip})
    assert predicted.column_names[0] == "tags"
    assert {"tags_probability_t_a", "tags_probability_t_b"} <= set(predicted.column_names)
    assert motet.load(run.path).predict({"clip": clip}) == predicted


# Shipped configs and documents -----------------------------------------------------------------

EXAMPLES = [
    pytest.param(path, id=path.name, marks=pytest.mark.slow if "experts" in path.name else ())
    for path in sorted((ROOT / "examples").glob("*.yaml"))
]
"""That with experts is trained by tests/test_text_projects.py in each run."""


@pytest.mark.parametrize("path", EXAMPLES)
def test_a_shipped_example_is_valid_and_trains(path, tmp_path, for_editors):
    from motet.data.sources import read as read_data

    for_editors.validate(yaml.safe_load(path.read_text()))
    config = yaml.safe_load(path.read_text())
    if "sources" in config["data"]:
        few = ["training.epochs=1", "training.batch_size=16"]
        assert motet.train(path, overrides=few, output=tmp_path / "run").history.records
        return
    if "source" not in config.get("data", {}):
        pytest.skip("its script makes the rows")
    if "models/" in path.read_text():
        pytest.skip("its pretrained model is not bundled")
    source = config["data"].pop("source")
    if "://" not in source and not (path.parent / source).is_file():
        pytest.skip(f"{source} is not bundled and not there")
    table = read_data(source, path.parent)
    rows = np.linspace(0, len(table) - 1, 150).astype(int)
    batch_size = 10 if "frequency" in path.read_text() else 50  # a task at every tenth step
    training = {**config.pop("training", {}), "epochs": 1, "batch_size": batch_size}
    run = motet.train(
        {**config, "training": training}, data=table.take(pa.array(rows)), output=tmp_path / "run"
    )
    assert run.history.records[-1]["step"] >= 1
    assert run.predict(table.slice(0, 5)).num_rows == 5


def test_the_demo_is_the_shipped_example():
    assert DEMO.read_bytes() == (ROOT / "examples/adult.yaml").read_bytes()


def test_the_readme_shows_the_shipped_example():
    text = (ROOT / "README.md").read_text()
    shown = text.split("```yaml\n")[1].split("```")[0]
    assert read(yaml.safe_load(shown))[0] == read(ROOT / "examples/adult.yaml")[0]


@pytest.mark.slow
def test_adult_is_level_with_boosted_trees(tmp_path):
    run = motet.train(ROOT / "examples/adult.yaml", output=tmp_path / "run")
    last = json.loads((run.path / "metrics.jsonl").read_text().splitlines()[-1])
    assert (last["split"], last["tasks"]["income"]["count"]) == ("test", 16_281)
    assert last["tasks"]["income"]["auroc"] >= 0.8878
    assert last["tasks"]["never_married"]["auroc"] >= 0.8811
    assert last["tasks"]["hours_per_week"]["r2"] >= 0.25
