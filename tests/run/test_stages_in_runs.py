"""A run whose balancer changes on the way."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from quick_cases import others_slow
from typer.testing import CliRunner

import motet
from motet.cli import app
from motet.run.building import build_trainer, check

STAGES = [{"until": 2, "type": "dwa"}, {"until": 3, "type": "imtl"}, {"type": "db_mtl"}]


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    table = {f"x{i}": x[:, i] for i in range(3)}
    return table | {"a": x[:, 0] + x[:, 1], "b": np.where(x[:, 2] > 0, "yes", "no")}


def config(balancing, weight=1.0):
    return {
        "tasks": {"a": {"type": "regression", "weight": weight}, "b": "classification"},
        "balancing": balancing,
        "model": {"encoder": {"type": "mlp", "hidden": [8]}},
        "training": {"epochs": 5, "batch_size": 32, "checkpoint_every": 2},
    }


def records(path):
    lines = (path / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def stopping_at(stop):
    """A training step that asks to stop the given number of steps from now."""
    step, steps = motet.Trainer.train_step, []

    def stopping(self, batch):
        steps.append(1)
        self.stop_requested = len(steps) == stop
        return step(self, batch)

    return stopping


@pytest.mark.parametrize("stop", others_slow([21], [5, 21, 30, 41]))
def test_a_run_stopped_inside_a_stage_ends_as_if_it_had_not_been(stop, rows, tmp_path, monkeypatch):
    whole = motet.train(config(STAGES), rows, output=tmp_path / "whole")
    with monkeypatch.context() as patched:
        patched.setattr(motet.Trainer, "train_step", stopping_at(stop))
        with pytest.raises(KeyboardInterrupt):
            motet.train(config(STAGES), rows, output=tmp_path / "parts")
    parts = motet.resume(tmp_path / "parts", rows)
    for ours, theirs in zip(parts.model.parameters(), whole.model.parameters(), strict=True):
        assert ours.equal(theirs)
    assert records(tmp_path / "parts") == records(tmp_path / "whole")
    acting = [
        r["balancer"]
        for r in records(tmp_path / "parts")
        if r["event"] == "epoch" and r["split"] == "train"
    ]
    assert acting == ["dwa", "dwa", "imtl", "db_mtl", "db_mtl"]


def test_validate_and_the_model_card_tell_the_stages(rows, tmp_path):
    pq.write_table(pa.table(rows), tmp_path / "rows.parquet")
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(config(STAGES) | {"data": {"source": "rows.parquet"}}))
    told = CliRunner().invoke(app, ["validate", str(file)])
    assert told.exit_code == 0
    assert "balancing  dwa until epoch 2, then imtl until epoch 3, then db_mtl\n" in told.stdout
    changes = ["balancing=[{until: 1, type: equal}, pcgrad]", "training.epochs=2"]
    run = motet.train(file, overrides=changes, output=tmp_path / "run")
    assert "equal, then pcgrad balancing" in (run.path / "model" / "README.md").read_text()


@pytest.mark.parametrize("balancing", ["equal", "pcgrad", [{"until": 1, "type": "dwa"}, "upgrad"]])
def test_a_task_weight_counts_once(balancing, rows):
    prepared = check(config(balancing, weight=3.0), data=rows)
    trainer = build_trainer(prepared)
    assert [stage.weight("a") for stage in trainer.stages] == [3.0] * len(trainer.stages)


def test_a_run_may_normalise_its_losses_and_go_on_after_a_stop(rows, tmp_path, monkeypatch):
    changes = ["training.normalize_losses=initial"]
    whole = motet.train(config("equal"), rows, changes, tmp_path / "whole")
    step = next(r for r in records(whole.path) if r["split"] == "train")
    weights = {task: values["weight"] for task, values in step["tasks"].items()}
    assert weights == {"a": 1.0, "b": 1.0}
    plain = motet.train(config("equal"), rows, output=tmp_path / "plain")
    pairs = zip(plain.model.parameters(), whole.model.parameters(), strict=True)
    assert not all(ours.equal(theirs) for ours, theirs in pairs)
    with monkeypatch.context() as patched:
        patched.setattr(motet.Trainer, "train_step", stopping_at(21))
        with pytest.raises(KeyboardInterrupt):
            motet.train(config("equal"), rows, changes, tmp_path / "parts")
    parts = motet.resume(tmp_path / "parts", rows)
    for ours, theirs in zip(parts.model.parameters(), whole.model.parameters(), strict=True):
        assert ours.equal(theirs)


def test_a_stage_that_refuses_a_task_weight_is_told(rows):
    with pytest.raises(motet.config.ConfigError, match="MGDA takes no weight for 'a'"):
        check(config([{"until": 1, "type": "equal"}, "mgda"], weight=3.0), data=rows)


def test_a_run_goes_back_as_its_config_says(rows, tmp_path):
    options = {"type": "upgrad", "at": "representation", "heads": "weighted"}
    run = motet.train(config(options), rows, output=tmp_path / "run")
    written = yaml.safe_load((run.path / "config.yaml").read_text())["balancing"]
    assert {name: written[name] for name in options} == options
    other = motet.train(config("upgrad"), rows, output=tmp_path / "other")
    pairs = zip(run.model.parameters(), other.model.parameters(), strict=True)
    assert not all(ours.equal(theirs) for ours, theirs in pairs)


def test_an_option_of_the_backward_pass_without_use_is_a_config_error(rows, tmp_path):
    with pytest.raises(motet.config.ConfigError, match=r"balancing: DWA reads only losses"):
        motet.train(config({"type": "dwa", "at": "representation"}), rows, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()
