"""Loggers, in the modes of their packages that need no network; skipped without the package."""

import json
import os

import pytest
import torch
from torch import nn

import motet
from motet import MultiTaskModel, Trainer, tasks
from motet.problems import InputError
from motet.training.loggers import MLflow, TensorBoard, WeightsAndBiases
from motet.training.loggers.base import flat, numbers_of
from motet.training.records import EpochRecord, StepRecord

X = torch.randn(32, 3, generator=torch.Generator().manual_seed(0))
DATA = (X, {"a": X[:, 0], "b": X[:, 1]})
CONFIG = {
    "tasks": {"a": "regression", "b": "regression"},
    "model": {"encoder": {"type": "mlp", "hidden": [4]}},
    "training": {"epochs": 2, "batch_size": 8, "device": "cpu"},
}
ROWS = {
    **{f"x{i}": X[:, i].numpy() for i in range(3)},
    "a": DATA[1]["a"].numpy(),
    "b": DATA[1]["b"].numpy(),
}


def trained(logger):
    model = MultiTaskModel(nn.Linear(3, 4), [tasks.Regression("a"), tasks.Regression("b")])
    trainer = Trainer(model, batch_size=8, observers=[logger])
    trainer.fit(DATA, validation=DATA, epochs=2)
    return trainer


def test_numbers_have_the_names_of_split_task_and_value():
    moment = {"step": 50, "epoch": 1, "seconds": 0.0, "learning_rate": 0.1}
    values = {"a": {"loss": 1.0, "weight": 2.0}, "b": {"loss": 3.0}}
    step = StepRecord(
        balancer="equal", gradient_norm=4.0, cosines=[[1, 0.5], [0.5, 1]], tasks=values, **moment
    )
    assert dict(numbers_of(step)) == {
        "train/a/loss": 1.0,
        "train/a/weight": 2.0,
        "train/b/loss": 3.0,
        "train/learning_rate": 0.1,
        "train/gradient_norm": 4.0,
        "train/cosine/a/b": 0.5,
    }
    epoch = EpochRecord(balancer="equal", skipped=0, tasks=values, **moment)
    assert dict(numbers_of(epoch)) == {"train/a/mean_loss": 1.0, "train/b/mean_loss": 3.0}
    assert dict(flat({"a": {"b": 1}, "c": 2})) == {"a.b": 1, "c": 2}


def test_tensorboard_files_hold_every_number(tmp_path):
    pytest.importorskip("tensorboard", reason="needs TensorBoard, an extra")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trainer = trained(TensorBoard(tmp_path / "log", settings={"model": {"width": 4}}))
    found = EventAccumulator(str(tmp_path / "log")).Reload()
    r2 = [event.value for event in found.Scalars("validation/a/r2")]
    assert r2 == pytest.approx(trainer.history.curve("a", "r2"), rel=1e-5)
    assert [event.step for event in found.Scalars("train/b/mean_loss")] == [4, 8]


def test_mlflow_files_hold_every_number_and_the_settings(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="needs MLflow, an extra")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    trainer = trained(MLflow(tmp_path / "log", settings={"model": {"width": 4}}, name="mine"))
    client = mlflow.MlflowClient((tmp_path / "log/store").absolute().as_uri())
    (run,) = client.search_runs([client.get_experiment_by_name("motet").experiment_id])
    assert run.info.run_name == "mine"
    assert run.info.status == "FINISHED"
    assert run.data.params == {"model.width": "4"}
    r2 = [each.value for each in client.get_metric_history(run.info.run_id, "validation/a/r2")]
    assert r2 == pytest.approx(trainer.history.curve("a", "r2"))


@pytest.mark.slow
def test_weights_and_biases_works_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="needs Weights & Biases, an extra")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    trained(WeightsAndBiases(tmp_path / "log", settings={"model": {"width": 4}}))
    assert list((tmp_path / "log").rglob("run-*.wandb"))


@pytest.mark.slow
def test_weights_and_biases_without_an_account_is_one_clear_error(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="needs Weights & Biases, an extra")

    def refuse(**_):
        raise wandb.Error("No API key configured.")

    monkeypatch.setattr(wandb, "init", refuse)
    config = {**CONFIG, "training": {**CONFIG["training"], "loggers": ["wandb"]}}
    with pytest.raises(InputError, match=r"No API key configured; log in .* WANDB_MODE=offline"):
        motet.train(config, ROWS, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_logs_its_test_figures_too_and_resumes_its_log(tmp_path):
    pytest.importorskip("tensorboard", reason="needs TensorBoard, an extra")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def stop(line):
        if line.startswith("epoch") and "1/2" in line:
            raise KeyboardInterrupt

    config = {
        **CONFIG,
        "training": {**CONFIG["training"], "loggers": ["tensorboard"], "checkpoint_every": 2},
    }
    with pytest.raises(KeyboardInterrupt):
        motet.train(config, ROWS, output=tmp_path / "run", say=stop)
    run = motet.resume(tmp_path / "run", ROWS)
    found = EventAccumulator(str(run.path / "loggers/tensorboard")).Reload()
    steps = [event.step for event in found.Scalars("validation/a/r2")]
    assert steps == sorted(set(steps))
    line = json.loads((run.path / "metrics.jsonl").read_text().splitlines()[-1])
    (test,) = found.Scalars("test/a/r2")
    assert test.value == pytest.approx(line["tasks"]["a"]["r2"], rel=1e-5)


def test_a_tracker_that_is_not_installed_is_reported_before_anything_is_written(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("motet.extras.find_spec", lambda name: None)
    config = {**CONFIG, "training": {**CONFIG["training"], "loggers": ["wandb"]}}
    with pytest.raises(InputError, match=r"needs wandb, .*\[track\]"):
        motet.train(config, ROWS, output=tmp_path / "run")
    assert not os.path.exists(tmp_path / "run/config.yaml")
