"""Every registered balancer in a whole run, by its name in a config."""

import json

import numpy as np
import pytest
from quick_cases import others_slow

import motet
from motet.registry import BALANCERS

OPTIONS = {"manual": {"weights": {"income": 1.0, "hours_per_week": 0.5}}}
VARIANTS = {
    "famo exact": {"type": "famo", "exact": True},
    "gradient_ratio pair": {"type": "gradient_ratio", "form": "pair", "layer": "all"},
    "pcgrad of dwa": {"type": "pcgrad", "unit": True, "losses": {"type": "dwa", "unit": "steps"}},
    "moco of uncertainty": {"type": "moco", "losses": "uncertainty"},
}
NAMES = [*BALANCERS, *VARIANTS]
QUICK = ["uncertainty", "moco", "pcgrad of dwa"]
"""Learned numbers, gradients, and two balancers that keep state, for what takes three runs."""


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 4))
    table = {f"x{i}": x[:, i] for i in range(4)}
    table["income"] = np.where(x[:, 0] + x[:, 1] > 0, "high", "low")
    table["hours_per_week"] = 40 + 5 * (x[:, 0] - x[:, 2]) + rng.normal(size=600)
    return table


def chosen(name):
    return VARIANTS.get(name, {"type": name, **OPTIONS.get(name, {})})


def config(name):
    return {
        "tasks": {"income": "classification", "hours_per_week": "regression"},
        "balancing": chosen(name),
        "model": {"encoder": {"type": "mlp", "hidden": [16]}},
        "training": {"epochs": 12, "batch_size": 64, "optimizer": {"learning_rate": 1e-2}},
    }


@pytest.mark.parametrize("name", others_slow(["meta", "famo exact", *QUICK], NAMES))
def test_a_run_learns_with_it_and_records_what_it_did(name, rows, tmp_path):
    run = motet.train(config(name), data=rows, output=tmp_path / "run")
    assert run.evaluate(rows, split="test")["score"] > 0.3
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    step = next(record for line in lines if (record := json.loads(line))["event"] == "step")
    assert set(step["tasks"]) == {"income", "hours_per_week"}
    assert all(np.isfinite(values["loss"]) for values in step["tasks"].values())
    if isinstance(_balancer(name), motet.balancing.GramianBalancer):
        assert step["status"] == "ok"
        assert np.shape(step["cosines"]) == (2, 2)
        assert step["tasks"]["income"]["gradient_norm"] > 0


@pytest.mark.parametrize("name", others_slow(QUICK, NAMES))
def test_a_run_stopped_in_the_middle_ends_as_if_it_had_not_been(name, rows, tmp_path, monkeypatch):
    changes = ["training.epochs=4", "training.checkpoint_every=3"]
    whole = motet.train(config(name), rows, changes, tmp_path / "whole")

    def stop(self, batch, after=[]):  # noqa: B006  # counts the steps of this run
        after.append(1)
        self.stop_requested = len(after) == 11
        return step(self, batch)

    step = motet.Trainer.train_step
    with monkeypatch.context() as patched:
        patched.setattr(motet.Trainer, "train_step", stop)
        with pytest.raises(KeyboardInterrupt):
            motet.train(config(name), rows, changes, tmp_path / "parts")
    parts = motet.resume(tmp_path / "parts", rows)
    for ours, theirs in zip(parts.model.parameters(), whole.model.parameters(), strict=True):
        assert ours.equal(theirs)
    assert _records(tmp_path / "parts") == _records(tmp_path / "whole")


def _records(path):
    lines = (path / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def _balancer(name):
    options = dict(chosen(name))
    return motet.balancing.create(options.pop("type"), ["income", "hours_per_week"], **options)
