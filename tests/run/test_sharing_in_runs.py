"""Every registered scheme in a whole run, by its name in a config."""

import json
from pathlib import Path

import numpy as np
import pytest
from quick_cases import others_slow

import motet
from motet.registry import SHARING

ADULT = Path(__file__).parents[2] / "examples" / "adult.yaml"
AROUND = {"groups": [["income", "hours_per_week"], ["married"]], "task_embedding": 8}


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 4))
    table = {f"x{i}": x[:, i] for i in range(4)}
    table["income"] = np.where(x[:, 0] + x[:, 1] > 0, "high", "low")
    table["hours_per_week"] = 40 + 5 * (x[:, 0] - x[:, 2]) + rng.normal(size=600)
    table["married"] = np.where(x[:, 2] > 0, "yes", "no")
    return table


def config(name, **more):
    return {
        "tasks": {
            "income": "classification",
            "hours_per_week": "regression",
            "married": "classification",
        },
        "balancing": "pcgrad",
        "model": {"encoder": {"hidden": [16, 8]}, "sharing": {"type": name, **more}},
        "training": {"epochs": 12, "batch_size": 64, "optimizer": {"learning_rate": 1e-2}},
    }


@pytest.mark.parametrize("name", others_slow(["mmoe", "progressive"], list(SHARING)))
@pytest.mark.filterwarnings("ignore:the tasks share no parameter")
def test_a_run_learns_with_it_and_records_what_it_did(name, rows, tmp_path):
    run = motet.train(config(name), data=rows, output=tmp_path / "run")
    assert run.evaluate(rows, split="test")["score"] > 0.3
    told = [record["sharing"] for record in records(tmp_path / "run") if "sharing" in record]
    assert bool(told) == bool(run.model.sharing.describe())
    assert told == [record["sharing"] for record in run.history if "sharing" in record]
    again = motet.load(tmp_path / "run")
    assert again.predict(rows) == run.predict(rows)
    assert again.model.sharing.describe() == run.model.sharing.describe()


MORE = [
    ("progressive", {"epochs": 1}),
    ("routing", {"mode": "learned"}),
    ("soft", {"regularizer": "group_lasso", "proximal": True}),
]


@pytest.mark.parametrize(
    ("name", "around"),
    [
        *MORE,  # these three keep what changes while training
        *(
            pytest.param(name, around, marks=pytest.mark.slow)
            for around in ({}, AROUND)
            for name in SHARING
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:the tasks share no parameter")
def test_a_run_stopped_in_the_middle_ends_as_if_it_had_not_been(
    name, around, rows, tmp_path, monkeypatch
):
    changes = ["training.epochs=3", "training.checkpoint_every=3"]
    whole = motet.train(config(name, **around), rows, changes, tmp_path / "whole")

    def stop(self, batch, after=[]):  # noqa: B006  # counts the steps of this run
        after.append(1)
        self.stop_requested = len(after) == 11
        return step(self, batch)

    step = motet.Trainer.train_step
    with monkeypatch.context() as patched:
        patched.setattr(motet.Trainer, "train_step", stop)
        with pytest.raises(KeyboardInterrupt):
            motet.train(config(name, **around), rows, changes, tmp_path / "parts")
    parts = motet.resume(tmp_path / "parts", rows)
    ours, theirs = parts.model.state_dict(), whole.model.state_dict()
    assert all(value.equal(theirs[key]) for key, value in ours.items())
    assert records(tmp_path / "parts") == records(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SHARING))
@pytest.mark.filterwarnings("ignore:the tasks share no parameter")
def test_the_census_example_trains_with_it_by_its_name_alone(name, tmp_path):
    changes = [f"model.sharing.type={name}", "training.epochs=2"]
    run = motet.train(ADULT, overrides=changes, output=tmp_path / "run")
    (tested,) = [record for record in records(tmp_path / "run") if record["event"] == "test"]
    assert tested["score"] > 0.3
    assert run.config.model.sharing.type == name


def records(path):
    lines = (path / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]
