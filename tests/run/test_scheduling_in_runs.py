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


@pytest.mark.slow
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


BUILT_IN = {
    "tasks": {
        "a": "regression",
        "b": {"type": "regression", "priority": "high"},
        "c": {"type": "regression", "enabled": {"from": 2}},
    },
    "training": {"epochs": 3, "batch_size": 64, "checkpoint_every": 1},
}


@pytest.fixture
def table():
    x, y = np.random.default_rng(0).normal(size=(2, 400))
    c = np.where(np.arange(400) % 4 == 0, x, np.nan)
    return {"x": x, "y": y, "a": x + y, "b": x - y, "c": c}


@pytest.mark.parametrize(
    ("scheduling", "balancing"),
    [
        ({"type": "performance"}, {"type": "pcd", "every": 1}),
        pytest.param("task_balanced", {"type": "pcd"}, marks=pytest.mark.slow),
        pytest.param(
            {"type": "weighted", "base": {"type": "temperature"}, "combine": "cycle"},
            "pcgrad",
            marks=pytest.mark.slow,
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:.*nothing to balance", "ignore:.*hardly ever")
def test_a_killed_run_of_a_schedule_ends_as_if_it_had_not_been(
    table, tmp_path, monkeypatch, scheduling, balancing
):
    config = {**BUILT_IN, "scheduling": scheduling, "balancing": balancing}
    lines = []
    whole = motet.train(config, table, output=tmp_path / "whole", say=lines.append)
    assert any(line.startswith("scheduling ") for line in lines)
    assert any(line.startswith("enabled    c from epoch 2") for line in lines)
    assert sum(line.startswith("trained ") for line in lines) == 3
    step, made = motet.Trainer.train_step, []

    def stop(self, batch):
        made.append(step(self, batch))
        self.stop_requested = len(made) == whole_steps // 2
        return made[-1]

    whole_steps = json.loads((tmp_path / "whole/metrics.jsonl").read_text().splitlines()[-1])[
        "step"
    ]
    with monkeypatch.context() as patched:
        patched.setattr(motet.Trainer, "train_step", stop)
        with pytest.raises(KeyboardInterrupt):
            motet.train(config, table, output=tmp_path / "parts")
    parts = motet.resume(tmp_path / "parts", table)
    for ours, theirs in zip(parts.model.parameters(), whole.model.parameters(), strict=True):
        assert ours.equal(theirs)
    assert _records(tmp_path / "parts") == _records(tmp_path / "whole")
    scheduled = [r["scheduled"] for r in _records(tmp_path / "whole") if "scheduled" in r]
    assert set(scheduled[0]) == {"a", "b"}
    assert "c" in scheduled[1]


def test_only_some_tasks_are_trained_and_the_config_of_the_run_names_them(table, tmp_path):
    config = {**BUILT_IN, "tasks": {**BUILT_IN["tasks"], "b": {"type": "regression", "enabled": 0}}}
    config["tasks"]["b"] = {"type": "regression", "enabled": False}
    run = motet.train(config, table, output=tmp_path / "run", tasks=["b", "a"])
    assert run.model.active_tasks == ("a", "b")
    enabled = {name: task.enabled for name, task in motet.load(run.path).config.tasks.items()}
    assert enabled == {"a": True, "b": True, "c": False}
    with pytest.raises(motet.InputError, match="tasks: no task is named 'd'; known: a, b, c"):
        motet.train(config, table, tasks="d")
    with pytest.raises(motet.InputError, match="tasks: found none; expected one or more tasks"):
        motet.train(config, table, tasks=[])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"scheduling": "round_robin"}, r"tasks.b.priority: found high, but neither the scheduler"),
        (
            {"scheduling": {"type": "weighted", "base": "curriculum"}},
            "scheduling.base: the scheduler 'curriculum' does not fit",
        ),
        (
            {"scheduling": {"type": "curriculum", "order": ["a", "b", "d"]}},
            "scheduling.order: no task is named 'd'",
        ),
        (
            {"scheduling": {"type": "all", "combine": "cycle"}},
            "scheduling.combine: found cycle, bu",
        ),
        (
            {"scheduling": {"type": "random", "tasks_per_step": 4}},
            "scheduling.tasks_per_step: foun",
        ),
        (
            {"scheduling": "task_balanced", "training": {"batch_size": 2}, "balancing": "pcd"},
            "training.batch_size: found 2; expected at least 3",
        ),
        (
            {"scheduling": "weighted", "training": {"epochs": 1}},
            "tasks.c.enabled.from: found 2, expected at most 1",
        ),
    ],
)
def test_mistakes_in_schedules_are_reported_at_their_place(table, change, problem):
    with pytest.raises(motet.InputError, match=problem):
        motet.train({**BUILT_IN, **change}, table)
