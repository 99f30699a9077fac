"""A scheduler registered from outside works in runs, and a resumed run goes on bit for bit."""

import json
import runpy
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import motet
from motet.registry import SCHEDULERS

EXAMPLE = Path(__file__).parents[2] / "examples" / "custom_scheduler.py"
ALTERNATE = runpy.run_path(str(EXAMPLE))["Alternate"]
CONFIG = {
    "tasks": {"a": "regression", "b": "regression"},
    "scheduling": {"type": "alternate", "steps": 3},
    "balancing": "uncertainty",
    "training": {"epochs": 4, "batch_size": 64, "checkpoint_every": 3},
}


@pytest.fixture
def rows(monkeypatch):
    monkeypatch.setitem(SCHEDULERS._places, "alternate", ALTERNATE)
    SCHEDULERS.version += 1
    x, y = np.random.default_rng(0).normal(size=(2, 400))
    yield {"x": x, "y": y, "a": x + y, "b": x - y}
    SCHEDULERS.version += 1


def test_a_run_stopped_in_the_middle_ends_as_if_it_had_not_been(rows, tmp_path, monkeypatch):
    whole = motet.train(CONFIG, rows, output=tmp_path / "whole")
    trained = []

    def stop(self, batch):
        result = step(self, batch)
        trained.extend(result.losses)
        self.stop_requested = len(trained) == 8
        return result

    step = motet.Trainer.train_step
    with monkeypatch.context() as patched:
        patched.setattr(motet.Trainer, "train_step", stop)
        with pytest.raises(KeyboardInterrupt):
            motet.train(CONFIG, rows, output=tmp_path / "parts")
        parts = motet.resume(tmp_path / "parts", rows)
    assert trained[:9] == [*"aaabbbaaa"]
    assert Counter(trained) == {"a": 11, "b": 9}
    for ours, theirs in zip(parts.model.parameters(), whole.model.parameters(), strict=True):
        assert ours.equal(theirs)
    assert _records(tmp_path / "parts") == _records(tmp_path / "whole")


def test_the_config_of_a_run_names_its_scheduler(rows, tmp_path):
    run = motet.train(CONFIG, rows, output=tmp_path / "run")
    assert motet.load(run.path).config.scheduling.options() == {"steps": 3, "combine": None}
    with pytest.raises(motet.InputError, match=r"scheduling.steps: found 0, expected .* > 0"):
        motet.train({**CONFIG, "scheduling": {"type": "alternate", "steps": 0}}, rows)
    with pytest.raises(motet.InputError, match=r"scheduling: found 'alternat'"):
        motet.train({**CONFIG, "scheduling": "alternat"}, rows)


def _records(path):
    lines = (path / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]
