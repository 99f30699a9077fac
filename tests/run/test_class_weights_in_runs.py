"""Class weights in a whole run: what was learned of them is in its folder."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import motet

RNG = np.random.default_rng(0)
X = RNG.normal(size=400)
ROWS = {"x": X, "a": np.where(X + RNG.normal(size=400) > 2, "rare", "common")}
WEIGHTS = {"balanced": "balanced", "given": [1.0, 9.0]}
KEY = "tasks.a.weights.mean"


def config(weights):
    task = {"type": "classification", "classes": ["common", "rare"], "class_weights": weights}
    return {
        "tasks": {"a": task},
        "model": {"encoder": {"type": "mlp", "hidden": [8]}},
        "training": {"epochs": 4, "batch_size": 16},
    }


@pytest.fixture(scope="module", params=WEIGHTS)
def trained(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("weighted") / "run"
    return motet.train(config(WEIGHTS[request.param]), ROWS, output=path)


def test_a_loaded_run_has_the_loss_of_the_trained_one(trained):
    lines = (trained.path / "metrics.jsonl").read_text().splitlines()
    recorded = json.loads(lines[-1])["tasks"]["a"]["loss"]
    assert motet.load(trained.path).evaluate(ROWS, split="test")["a"]["loss"] == recorded


def test_a_stopped_run_goes_on_bit_for_bit(trained, tmp_path, monkeypatch):
    def stop(self, batch, after=[]):  # noqa: B006  # counts the steps of this run
        after.append(1)
        self.stop_requested = len(after) == 40
        return step(self, batch)

    step, path = motet.Trainer.train_step, tmp_path / "run"
    weights = trained.config.tasks["a"].class_weights
    with monkeypatch.context() as patched:
        patched.setattr(motet.Trainer, "train_step", stop)
        with pytest.raises(KeyboardInterrupt):
            motet.train(config(weights), ROWS, ["training.checkpoint_every=7"], path)
    resumed = motet.resume(path, data=ROWS)
    ours, theirs = (
        load_file(each.path / "model" / "model.safetensors") for each in (resumed, trained)
    )
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


def test_an_older_run_without_the_mean_weight_is_loaded_and_predicts_the_same(trained, tmp_path):
    weights = trained.path / "model" / "model.safetensors"
    settings = trained.path / "model" / "config.json"
    text = settings.read_text()
    content = json.loads(text)
    settings.write_text(json.dumps({k: content[k] for k in content.keys() - {"files", "digest"}}))
    before = trained.predict(ROWS)
    tensors = load_file(weights)
    kept = weights.read_bytes()
    mean = tensors.pop(KEY).item()
    save_file(tensors, weights)
    try:
        older = motet.load(trained.path)
    finally:
        weights.write_bytes(kept)
        settings.write_text(text)
    assert older.predict(ROWS).equals(before)
    assert mean > 0
    task = older.model.tasks["a"]
    assert task.count(torch.tensor([0, 1])).item() == pytest.approx(float(task.weights().sum()))
