"""A run that was stopped, however roughly, ends as if it had never been."""

import multiprocessing
import os
import random
import signal
import threading
import time
import warnings

import forked
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from power_cuts import cut_short
from quick_cases import others_slow
from small_runs import records, weights

import motet
from motet.problems import InputError
from motet.training import TrainingError

CONFIG = """\
data: {source: rows.parquet}
tasks: {a: classification, b: regression}
model: {encoder: {type: mlp, hidden: [32]}}
balancing: uncertainty
training: {epochs: 6, batch_size: 32, checkpoint_every: 3, optimizer: {learning_rate: 1e-2}}
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 3))
    columns = {f"x{i}": x[:, i] for i in range(3)}
    columns["a"] = np.where(x[:, 0] > 0, "yes", "no")
    columns["b"] = x[:, 1] + rng.normal(size=500)
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    (tmp_path / "config.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "config.yaml"


@pytest.mark.parametrize("after", others_slow([1, 13], [1, 2, 5, 12, 13, 40]))
def test_it_goes_on_bit_for_bit_wherever_it_died(config, tmp_path, monkeypatch, after):
    whole = motet.train(config, output=tmp_path / "whole")
    cut_short(config, tmp_path / "parts", monkeypatch, after)
    parts = motet.resume(tmp_path / "parts")
    assert weights(parts.path) == weights(whole.path)
    assert records(parts.path) == records(whole.path)


@pytest.mark.parametrize("damage", ["cut", "edited"])
def test_a_damaged_checkpoint_is_told_and_the_one_before_is_used(
    config, tmp_path, monkeypatch, damage
):
    whole = motet.train(config, output=tmp_path / "whole")
    cut_short(config, tmp_path / "parts", monkeypatch, 30)
    older, newest = sorted((tmp_path / "parts" / "checkpoints" / "last").iterdir())
    content = bytearray(newest.read_bytes())
    if damage == "cut":
        del content[-100:]
    else:
        content[-5] ^= 1
    newest.write_bytes(content)
    with pytest.warns(UserWarning, match="continuing from") as warned:
        parts = motet.resume(tmp_path / "parts")
    told = str(warned[0].message)
    assert str(newest) in told
    assert told.endswith(str(older))
    assert weights(parts.path) == weights(whole.path)


def test_nothing_good_left_is_an_error_that_names_all(config, tmp_path, monkeypatch):
    cut_short(config, tmp_path / "parts", monkeypatch, 30)
    for path in (tmp_path / "parts" / "checkpoints").glob("*/*"):
        path.write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"no checkpoint can be used.*start a new run"):
        motet.resume(tmp_path / "parts")


def test_other_data_are_refused(config, tmp_path, monkeypatch):
    cut_short(config, tmp_path / "parts", monkeypatch, 30)
    table = pq.read_table("rows.parquet")
    pq.write_table(table.slice(1), "rows.parquet")
    with pytest.raises(InputError, match="the data are not those that the run began with"):
        motet.resume(tmp_path / "parts")


def test_another_config_is_refused(config, tmp_path, monkeypatch):
    cut_short(config, tmp_path / "parts", monkeypatch, 30)
    path = tmp_path / "parts" / "config.yaml"
    before = path.read_text()
    path.write_text(before.replace("learning_rate: 0.01", "learning_rate: 0.03"))
    with pytest.raises(InputError, match=r"config\.yaml is not what the run began with.*undo"):
        motet.resume(tmp_path / "parts")
    (tmp_path / "rows.parquet").rename(tmp_path / "moved.parquet")
    moved = before.replace("rows.parquet", "moved.parquet").replace("device: auto", "device: cpu")
    path.write_text(moved)
    motet.resume(tmp_path / "parts")


def test_a_finished_run_and_a_folder_that_is_none_are_refused(config, tmp_path):
    motet.train(config, output=tmp_path / "whole", overrides=["training.epochs=1"])
    with pytest.raises(InputError, match="is finished"):
        motet.resume(tmp_path / "whole")
    with pytest.raises(InputError, match="is not a run folder"):
        motet.resume(tmp_path)


def start(*arguments):
    with open("errors.txt", "a") as errors, open(os.devnull, "w") as nothing:
        return forked.start(*arguments, output=nothing, errors=errors)


def exit_code(process):
    process.join(timeout=60)
    return process.exitcode


def wait_for_checkpoint(path, process):
    deadline = time.monotonic() + 60
    while not list(path.glob("checkpoints/last/*")) and process.is_alive():
        assert time.monotonic() < deadline
        time.sleep(0.01)


LONG = ["training.epochs=15", "training.early_stopping=null"]


def test_ctrl_c_leaves_a_run_to_resume_and_exits_with_130(config, tmp_path):
    process = start("train", "config.yaml", *LONG, "--output", "parts")
    wait_for_checkpoint(tmp_path / "parts", process)
    os.kill(process.pid, signal.SIGINT)
    assert exit_code(process) == 130
    assert "Traceback" not in (tmp_path / "errors.txt").read_text()
    assert not (tmp_path / "parts" / "model").exists()
    said = []
    motet.resume(tmp_path / "parts", say=said.append)
    assert any(line.startswith("resume") for line in said)


def test_a_damaged_checkpoint_is_reported_on_stderr(config, tmp_path, monkeypatch):
    cut_short(config, tmp_path / "parts", monkeypatch, 30)
    older, newest = sorted((tmp_path / "parts" / "checkpoints" / "last").iterdir())
    newest.write_bytes(newest.read_bytes()[:-100])
    assert exit_code(start("resume", "parts")) == 0
    (line,) = (tmp_path / "errors.txt").read_text().splitlines()
    assert line.startswith("warning    the checkpoint ")
    assert "parts/checkpoints/last/" + newest.name in line
    assert line.endswith("continuing from parts/checkpoints/last/" + older.name)


def test_a_second_ctrl_c_names_the_command_to_continue_too(config, tmp_path, monkeypatch):
    def twice(self, batch):
        raise KeyboardInterrupt

    monkeypatch.setattr(motet.Trainer, "train_step", twice)
    said = []
    with pytest.raises(KeyboardInterrupt):
        motet.train(config, output=tmp_path / "run", say=said.append)
    assert said[-1] == f"stopped    at step 0; continue with: motet resume {tmp_path / 'run'}"


# Runs that cannot go on --------------------------------------------------------------------------

DIVERGING = ["training.optimizer={type: sgd, learning_rate: 1e30}", "training.batch_size=8"]


def test_a_run_that_diverges_before_its_first_checkpoint_leaves_its_name_free(config, tmp_path):
    said = []
    changes = [*DIVERGING, "training.checkpoint_every=null"]
    for output in (tmp_path / "run", None):
        with pytest.raises(TrainingError, match="not finite in 10 steps in a row"):
            motet.train(config, overrides=changes, output=output, say=said.append)
        assert said[-1].startswith("removed ")
    assert not (tmp_path / "run").exists()
    assert list((tmp_path / "runs").iterdir()) == []
    motet.train(config, output=tmp_path / "run", overrides=["training.epochs=1"])
    assert motet.train(config, overrides=["training.epochs=1"]).path.name == "config-001"


def test_resuming_never_removes_a_folder(config, tmp_path, monkeypatch):
    def interrupted(self, batch):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(motet.Trainer, "train_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            motet.train(config, output=tmp_path / "run")
    notes = tmp_path / "run" / "notes.txt"
    notes.write_text("mine")

    def diverging(self, batch):
        raise TrainingError("the loss was not finite")

    monkeypatch.setattr(motet.Trainer, "train_step", diverging)
    with pytest.raises(TrainingError):
        motet.resume(tmp_path / "run")
    assert notes.read_text() == "mine"


def test_a_run_that_diverges_later_keeps_its_checkpoints(config, tmp_path, monkeypatch):
    with pytest.raises(TrainingError, match="not finite in 10 steps in a row"):
        motet.train(config, overrides=DIVERGING, output=tmp_path / "run")
    assert list((tmp_path / "run" / "checkpoints" / "last").iterdir())


def in_a_process(function, *arguments):
    """Call a function in a process of its own, a fork of this one; return the exit code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads, which sleep
        process = multiprocessing.get_context("fork").Process(target=function, args=arguments)
        process.start()
    process.join()
    return process.exitcode


def train(path, kill=None):
    """Train or resume; with ``kill``, a generator, be killed while starting or in some step.

    Warnings are errors, so that a file that was cut or changed ends it too.
    """
    torch.set_num_threads(1)  # which changes the last bits
    real, left = motet.Trainer.train_step, -1

    def die_within(seconds):
        threading.Timer(kill.uniform(0, seconds), os.kill, (os.getpid(), signal.SIGKILL)).start()

    def step(self, batch):
        nonlocal left
        left -= 1
        if left == 0:
            die_within(0.05)
        return real(self, batch)

    motet.Trainer.train_step = step
    if kill is not None:
        left = kill.randint(0, 10)
        if left == 0:
            die_within(0.5)
    if (path / "config.yaml").exists():
        motet.resume(path)
    else:
        motet.train("config.yaml", output=path)


@pytest.mark.slow
def test_killed_50_times_at_random_it_ends_bit_for_bit_the_same(config, tmp_path):
    config.write_text(CONFIG.replace("epochs: 6", "epochs: 150, early_stopping: null"))
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert motet.resume  # imported here, not in each process
    assert in_a_process(train, whole) == 0
    for seed in range(50):
        assert in_a_process(train, parts, random.Random(seed)) == -signal.SIGKILL
    assert in_a_process(train, parts) == 0
    assert weights(parts) == weights(whole)
    assert records(parts) == records(whole)
