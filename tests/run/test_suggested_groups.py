"""Runs measure how tasks agree, and suggest groups: tasks in planted blocks are found again."""

import json

import numpy as np
import pytest
import yaml

import motet

BLOCKS = (("a", "b", "c"), ("d", "e"))


def planted(rows=600, seed=0):
    """Tasks of a block depend on the same columns, those of different blocks on others."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, 6))
    one, other = x[:, 0] + x[:, 1], x[:, 3] - x[:, 4]
    signal = {"a": one, "b": one, "c": one, "d": other, "e": other}
    noise = {task: 0.3 * random.normal(size=rows) for task in signal}
    columns = {f"x{number}": x[:, number] for number in range(6)}
    return columns | {task: signal[task] + noise[task] for task in signal}


def config(**training):
    """Numbers enter as they are: in bins, gradients of so few rows are noise."""
    return {
        "inputs": {f"x{number}": {"type": "number", "scaling": "standard"} for number in range(6)},
        "tasks": {task: "regression" for block in BLOCKS for task in block},
        "model": {"encoder": {"type": "mlp", "hidden": [16], "dropout": 0.0}},
        "training": {
            "epochs": 6,
            "batch_size": 32,
            "optimizer": {"type": "adamw", "learning_rate": 0.01},
            "seed": 0,
            **training,
        },
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    chosen = config(analysis={"every": 4})
    return motet.train(chosen, data=planted(), output=tmp_path_factory.mktemp("runs") / "run")


def test_a_run_knows_how_its_tasks_agree(run):
    found = run.analysis()
    assert set(found.tasks) == set("abcde")
    at = {task: place for place, task in enumerate(found.tasks)}
    cosine = found.similarity.matrix
    assert cosine[at["a"], at["b"]] > 0.1 > cosine[at["a"], at["d"]]
    assert found.conflicts[at["a"], at["b"]] < 0.4 < found.conflicts[at["a"], at["d"]]
    assert found.affinity["a"]["b"] > 2 * abs(found.affinity["a"]["d"])
    assert list(found.by_group) == ["layer 1"]
    assert found.norms["a"]["count"] == found.similarity.counts[0, 1] > 5
    again = motet.load(run.path).analysis()
    assert np.array_equal(again.similarity.matrix, cosine)


@pytest.mark.parametrize(("number", "by"), [(None, "affinity"), (2, "affinity"), (2, "gradients")])
def test_suggested_groups_are_the_planted_blocks(run, number, by):
    assert run.suggest_groups(number, by=by).groups == BLOCKS


def test_clear_blocks_are_sure(run):
    found = run.suggest_groups(2, by="gradients")
    assert found.unsure == ()
    assert found.note == ""
    assert str(found) == "a, b, c; d, e"
    assert not found.yaml.startswith("#")


def test_what_one_step_measured_is_unsure_and_says_so(tmp_path):
    chosen = config(analysis={"every": 10}, epochs=1)  # of 14 steps
    run = motet.train(chosen, data=planted(), output=tmp_path / "run")
    for found in (run.suggest_groups(2), run.suggest_groups(2, by="gradients")):
        assert len(found.unsure) == 10
        assert "measurements at 1 step" in found.note
        assert "decide any groups" in found.note
        assert found.note in str(found)
    file = found.write(tmp_path / "suggested.yaml")
    assert file.read_text().startswith(f"# {found.note}\n")
    assert motet.Config(**yaml.safe_load(file.read_text())).model.sharing.groups == found.groups


def test_a_suggestion_is_a_config_that_trains(run, tmp_path):
    found = run.suggest_groups()
    file = found.write(tmp_path / "suggested.yaml")
    written = yaml.safe_load(file.read_text())
    assert written["model"]["sharing"]["groups"] == [list(block) for block in BLOCKS]
    again = motet.train(
        file, data=planted(), overrides=["training.epochs=1"], output=tmp_path / "again"
    )
    assert again.config.model.sharing.groups == tuple(map(tuple, BLOCKS))


def test_a_run_that_measured_nothing_says_why(tmp_path):
    run = motet.train(config(analysis=None, epochs=1), data=planted(100), output=tmp_path / "run")
    with pytest.raises(motet.InputError, match="training"):
        run.analysis()
    without = motet.train(
        config(analysis={"every": 1, "affinity": "none"}, epochs=1),
        data=planted(100),
        output=tmp_path / "without",
    )
    with pytest.raises(motet.InputError, match="first_order"):
        without.suggest_groups()
    assert without.suggest_groups(2, by="gradients").value is None


def test_step_records_have_the_course_over_time(run):
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    steps = [record for record in map(json.loads, lines) if record["event"] == "step"]
    assert len(steps) > 5
    assert all(set(record["compared"]) == set("abcde") for record in steps)


@pytest.mark.slow
def test_planted_blocks_are_found_with_every_seed_and_sure_with_most(tmp_path):
    """20 seeds of rows, weights and order; every suggestion is the blocks."""
    sure = []
    for seed in range(20):
        chosen = config(analysis={"every": 2}, seed=seed)
        run = motet.train(chosen, data=planted(1000, seed), output=tmp_path / str(seed))
        suggested = run.suggest_groups(), run.suggest_groups(2, by="gradients")
        assert [each.groups for each in suggested] == [BLOCKS, BLOCKS], seed
        sure += [not each.unsure for each in suggested]
    assert sum(sure) >= 36
