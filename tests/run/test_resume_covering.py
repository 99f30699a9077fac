"""Whatever a run consists of and wherever it stops, it ends as if it had never stopped.

Every balancer meets every scheduler, sharing scheme, optimizer, learning-rate schedule, kind of
source and place to stop, as far as they fit together; members that are added later join by
themselves.
"""

import json
import shutil
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import torch
from pairs import covering
from small_runs import records, weights

import motet
from motet.problems import InputError
from motet.registry import BALANCERS, LR_SCHEDULES, OPTIMIZERS, SCHEDULERS, SHARING
from motet.run import check

OPTIONS = {"manual": {"weights": {"a": 2.0, "b": 1.0, "c": 0.5}}}
"""Options of members that cannot do without."""
SOURCES = {
    "csv": {"source": "rows.csv"},
    "parquet": {"source": ["rows.parquet"]},
    "jsonl": {"source": "rows.jsonl"},
    "stream": {"source": "rows.parquet", "stream": {"lanes": 2, "buffer": 32}},
    "several": {"sources": {"one": {"source": "rows.csv"}, "two": {"source": "more.parquet"}}},
}
FACTORS = {
    "balancing": list(BALANCERS),
    "scheduling": list(SCHEDULERS),
    "sharing": list(SHARING),
    "combine": ["draw", "cycle"],
    "source": list(SOURCES),
    "optimizer": list(OPTIMIZERS),
    "lr_schedule": list(LR_SCHEDULES),
    "accumulate": [1, 2],
    "precision": ["float32", "bfloat16", "float16"],
    "stop": ["killed early", "killed late", "asked in the middle", "asked at the end"],
}


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder with the same rows in files of all kinds."""
    path = tmp_path_factory.mktemp("rows")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(96, 2))
    table = pa.table(
        {
            "x": x[:, 0],
            "y": x[:, 1],
            "a": np.where(x[:, 0] > 0, "yes", "no"),
            "b": x.sum(1) + rng.normal(size=96),
            "c": x[:, 1] * 2,
        }
    )
    pa.csv.write_csv(table, path / "rows.csv")
    pq.write_table(table, path / "rows.parquet", row_group_size=20)
    pq.write_table(table.slice(0, 70), path / "more.parquet")
    lines = (json.dumps(row) + "\n" for row in table.to_pylist())
    (path / "rows.jsonl").write_text("".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        yield path


def config_of(case):
    several = case["source"] == "several"
    sources = {"a": "one", "b": "two", "c": ["one", "two"]}
    tasks = {"a": {"type": "classification"}, "b": {"type": "regression"}}
    tasks["c"] = {"type": "regression"}
    combine = {"combine": case["combine"]} if case["combine"] == "cycle" else {}
    return {
        "data": {**SOURCES[case["source"]], "split": {"validation": 0.2, "test": 0}},
        "inputs": {"x": "number", "y": "number"},
        "tasks": {
            n: each | ({"source": sources[n]} if several else {}) for n, each in tasks.items()
        },
        "model": {
            "encoder": {"type": "mlp", "hidden": [6, 6], "dropout": 0.1},
            "sharing": {"type": case["sharing"], **OPTIONS.get(case["sharing"], {})},
        },
        "balancing": {"type": case["balancing"], **OPTIONS.get(case["balancing"], {})},
        "scheduling": {"type": case["scheduling"], **combine},
        "training": {
            "epochs": 2,
            "batch_size": 16,
            "accumulate": case["accumulate"],
            "precision": case["precision"],
            "compile": case.get("compile", False),
            "checkpoint_every": 3,
            "optimizer": {"type": case["optimizer"], "learning_rate": 0.01},
            "lr_schedule": case["lr_schedule"],
            "device": "cpu",
        },
    }


def fits(case):
    try:
        check(config_of(case))
    except InputError:
        return False
    return True


def trained(config, output, monkeypatch, after):
    """Train; return the number of steps. ``after`` is called with the trainer and each number."""
    made, really = 0, motet.Trainer.train_step

    def step(self, batch):
        nonlocal made
        result = really(self, batch)
        made += 1
        after(self, made)
        return result

    with monkeypatch.context() as patch:
        patch.setattr(motet.Trainer, "train_step", step)
        motet.train(config, output=output)
    return made


def stopped(case, path, monkeypatch):
    """Train a whole run; return one that was stopped where the case asks for it."""
    config, whole = config_of(case), path / "whole"
    how, _, where = case["stop"].partition(" ")

    def copy(trainer, made):  # what a process that is killed here leaves
        if how == "killed":
            shutil.copytree(whole, path / str(made))

    steps = trained(config, whole, monkeypatch, copy)
    places = {"early": 2, "late": steps - 1, "in the middle": steps // 2, "at the end": steps}
    place = min(max(places[where], 1), steps)

    def ask(trainer, made):
        trainer.stop_requested = made == place

    if how == "asked":
        with pytest.raises(KeyboardInterrupt):
            trained(config, path / str(place), monkeypatch, ask)
    return path / str(place)


def resumes(case, path, monkeypatch):
    parts = stopped(case, path, monkeypatch)
    motet.resume(parts)
    same = weights(parts) == weights(path / "whole")
    return same and records(parts) == records(path / "whole")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("cases", [4, pytest.param(None, marks=pytest.mark.slow)])
def test_every_pair_of_members_resumes_bit_for_bit(here, tmp_path, monkeypatch, capsys, cases):
    count, different = 0, []
    for case in islice(covering(FACTORS, fits), cases):
        if not resumes(case, tmp_path / str(count), monkeypatch):
            different.append(case)
        count += 1
    with capsys.disabled():
        print(f"\n{count} runs stopped and resumed")
    assert different == []
    assert count == cases or count > len(BALANCERS) * 10


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # while torch traces, its own would be errors inside
@pytest.mark.parametrize("sharing", SHARING)
def test_compiled_runs_resume_bit_for_bit(here, tmp_path, monkeypatch, sharing):
    """Compiled to graphs that are one node of autograd's, but not to machine code."""
    compile, place = torch.compile, list(SHARING).index(sharing)
    monkeypatch.setattr("motet.training.passes.checks._lacking_compiler", lambda device: None)
    monkeypatch.setattr(torch, "compile", lambda call, options: compile(call, backend="aot_eager"))
    torch._dynamo.reset()
    several = {name: FACTORS[name] for name in ("accumulate", "precision", "stop")}
    case = {name: values[place % len(values)] for name, values in several.items()}
    case |= {"sharing": sharing, "source": "csv", "optimizer": "adamw", "lr_schedule": "cosine"}
    case |= {"balancing": ("upgrad", "moco", "dwa")[place % 3], "scheduling": "temperature"}
    assert resumes({**case, "combine": "draw", "compile": True}, tmp_path, monkeypatch)


@pytest.mark.filterwarnings("ignore:scheduling. Curriculum chose")
def test_an_evaluation_right_after_resuming_knows_how_far_training_is(here, tmp_path, monkeypatch):
    case = {
        "balancing": "equal",
        "scheduling": "curriculum",
        "sharing": "hard",
        "combine": "draw",
        "source": "csv",
        "optimizer": "adamw",
        "lr_schedule": "constant",
        "accumulate": 1,
        "precision": "float32",
        "stop": "asked in the middle",
    }
    assert resumes(case, tmp_path, monkeypatch)
