"""Runs of several processes: the run of one, whatever happens to one of them."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import torch
from quick_cases import others_slow

import motet
from motet.problems import InputError
from motet.processes import Processes, processes_of
from motet.run import joining
from motet.run.checkpoints import what_is_kept
from tests.gloo import in_processes
from tests.run.small_runs import CONFIG, records, rows, weights

SOURCES = {
    "data": {"sources": {"first": {"type": "files"}, "second": {"type": "files"}}},
    "inputs": {"x": "number"},
    "tasks": {
        "kind": {"type": "classification", "source": "first"},
        "spend": {"type": "regression", "source": "second"},
    },
    "model": {"encoder": {"type": "mlp", "hidden": [8]}},
    "balancing": "pcgrad",
    "training": {"epochs": 2, "batch_size": 16, "device": "cpu"},
}
FOLDS = {"split": {"folds": 2}}


def assert_same_run(found, expected):
    """Two runs gave the same, up to the rounding of float32."""
    assert_close(found, expected)
    assert_near(records(found), records(expected))


def assert_close(found, expected):
    found, expected = (
        pq.read_table(path / "predictions/test.parquet") for path in (found, expected)
    )
    assert found.column_names == expected.column_names
    for name in found.column_names:
        if pa.types.is_floating(found[name].type):
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-5)
        else:
            assert found[name].equals(expected[name])


def assert_near(found, expected):
    """Nested numbers are alike."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert_near(found[key], value)
    elif isinstance(expected, list):
        for one, other in zip(found, expected, strict=True):
            assert_near(one, other)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)
    else:
        assert found == expected


def trained(config, data, output):
    said = []
    run = motet.train(config, data=data, output=output, say=said.append)
    return run.path, said, run.config.training.epochs


@pytest.mark.parametrize("folds", others_slow([{}], [{}, FOLDS]), ids=["one split", "folds"])
def test_two_processes_give_the_run_of_one(tmp_path, folds):
    config = CONFIG | {"data": folds}
    alone = motet.train(config, data=rows(), output=tmp_path / "one").path
    (first, said, _), (second, silence, _) = in_processes(
        2, trained, config, rows(), tmp_path / "two"
    )
    assert first == second == tmp_path / "two"
    assert_same_run(first, alone)
    assert silence == []
    assert any(line.startswith("processes  2, 16 rows each of 32, with 1 thread") for line in said)
    environment = json.loads((first / "environment.json").read_text())
    assert (environment["processes"], environment["backend"]) == (2, "gloo")
    assert json.loads((alone / "environment.json").read_text())["processes"] == 1


def test_a_run_from_an_earlier_run_is_the_same_over_processes(tmp_path):
    quick = {"training": CONFIG["training"] | {"epochs": 1}}
    earlier = motet.train(CONFIG | quick, data=rows(), output=tmp_path / "earlier").path
    tasks = {"a": "classification", "c": "classification"}
    config = quick | {"tasks": tasks, "from_run": str(earlier)}
    data = rows() | {"c": rows()["a"]}
    alone = motet.train(config, data=data, output=tmp_path / "one").path
    (found, said, _), (_, silence, _) = in_processes(2, trained, config, data, tmp_path / "two")
    assert_same_run(found, alone)
    changes = [json.loads((path / "from_run.json").read_text()) for path in (found, alone)]
    assert_near(*changes)
    assert set(changes[0]["tasks"]) == {"a", "b"}
    assert silence == []
    assert sum(line.startswith("from run") for line in said) == 1
    copy, model = found / "from_run/1/model.safetensors", earlier / "model/model.safetensors"
    assert copy.read_bytes() == model.read_bytes()


@pytest.mark.slow
def test_several_sources_train_in_processes_of_which_some_have_no_row(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=60)
    first = {"x": x, "kind": np.where(x > 0, "yes", "no")}
    data = {"first": first, "second": {"x": x[:40], "spend": 2 * x[:40]}}
    config = SOURCES | {
        "data": {},
        "training": SOURCES["training"] | {"batch_size": 2, "epochs": 1},
    }
    alone = motet.train(config, data=data, output=tmp_path / "one").path
    found = in_processes(3, trained, config, data, tmp_path / "three")
    assert_same_run(found[0][0], alone)
    assert "note       1 of 3 processes have no row, as batch_size is 2" in found[0][1]


def test_processes_read_parts_of_rows_that_the_first_encoded(tmp_path):
    pa.csv.write_csv(pa.table(rows()), tmp_path / "rows.csv")
    config = CONFIG | {"data": {"source": str(tmp_path / "rows.csv"), "stream": True}}
    alone = motet.train(config, output=tmp_path / "one").path
    found = in_processes(2, trained, config, None, tmp_path / "two")
    assert_same_run(found[0][0], alone)


def stopped(path, epoch):
    """Start a run that is interrupted after an epoch."""

    def say(line):
        if line.startswith("epoch") and line.split()[1] == f"{epoch}/6":
            signal.raise_signal(signal.SIGINT)

    config = CONFIG | {"training": CONFIG["training"] | {"epochs": 6}}
    begin = partial(motet.train, config, output=path)
    carry_out = partial(motet.resume, path) if path.exists() else begin
    with pytest.raises(KeyboardInterrupt):
        carry_out(data=rows(), say=say)
    return processes_of().count


@pytest.mark.slow
def test_a_run_continues_with_another_number_of_processes(tmp_path):
    config = CONFIG | {"training": CONFIG["training"] | {"epochs": 6}}
    whole = motet.train(config, data=rows(), output=tmp_path / "whole").path
    path = tmp_path / "run"
    assert in_processes(2, stopped, path, 2) == [2, 2]
    assert stopped(path, 4) == 1
    in_processes(2, lambda: motet.resume(path, data=rows()) and None)
    assert_same_run(path, whole)


def test_calls_that_are_alike_have_runs_of_their_own_also_after_a_restart():
    store = torch.distributed.HashStore()
    for known in ([None, None], [Path("a"), Path("b")]):
        joining._CALLS.clear()  # as in new processes
        for found, path in zip(known, [Path("a"), Path("b")], strict=True):
            team = joining.Team(Processes(), launcher=store)
            assert team.begun("train") == found
            team.remember(path)


def test_what_is_kept_of_folds_names_the_fold(tmp_path):
    fold = tmp_path / "folds/2"
    assert what_is_kept(tmp_path) == f"the run {tmp_path} is whole up to its last checkpoint, " + (
        "if it has one"
    )
    (fold / "checkpoints/last").mkdir(parents=True)
    (fold / "checkpoints/last/step-000000007.safetensors").touch()
    assert what_is_kept(tmp_path) == f"the run {tmp_path} is whole up to step 7 of fold 2"


def different(path):
    data = rows()
    if not processes_of().first:
        data["b"][0] += 1
    with pytest.raises(InputError) as error:
        motet.train(CONFIG, data=data, output=path)
    return str(error.value)


def test_processes_that_read_different_data_are_refused_before_a_folder_is_made(tmp_path):
    first, second = in_processes(2, different, tmp_path / "run")
    assert first == second
    assert first.startswith("process 2 of 2, on ")
    assert "found another data than the first one" in first
    assert not (tmp_path / "run").exists()


# With the command line ---------------------------------------------------------------------------

YAML = """\
data: {source: people.csv}
tasks: {a: classification, b: regression}
model: {encoder: {type: mlp, hidden: [8]}}
balancing: uncertainty
training: {epochs: 60, batch_size: 32, checkpoint_every: 2, device: cpu, early_stopping: null}
"""
SCRIPT = """\
import os
import motet
from motet.cli import main

if os.environ["RANK"] == "1":
    step = motet.Trainer.train_step

    def failing(self, batch):
        if self.step == 7:
            raise RuntimeError("no room for a tensor")
        return step(self, batch)

    motet.Trainer.train_step = failing
main()
"""
TORCHRUN = ("-m", "torch.distributed.run", "--nproc-per-node", "2")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    pa.csv.write_csv(pa.table(rows()), "people.csv")
    Path("people.yaml").write_text(YAML)
    return tmp_path


def started(*arguments):
    return subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(process, timeout=240):
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out, err


def motet_in_two(*arguments):
    return started("-m", "motet", *arguments, "--processes", "2")


def wait_for_checkpoint(process, path):
    while not any((path / "checkpoints/last").glob("step-*.safetensors")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)


def workers(process):
    found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True)
    return [int(pid) for pid in found.stdout.split()]


@pytest.mark.slow
def test_a_killed_process_ends_the_run_with_one_message_and_nothing_is_lost(here):
    code, out, err = ended(motet_in_two("train", "people.yaml", "-o", "whole"))
    assert (code, err) == (0, "")
    assert out.count("saved      whole") == 1
    killed = motet_in_two("train", "people.yaml", "-o", "run")
    wait_for_checkpoint(killed, here / "run")
    os.kill(workers(killed)[1], signal.SIGKILL)
    code, out, err = ended(killed)
    assert code == 1
    assert err.count("\n") == 1
    assert "was ended by SIGKILL, as when memory runs out, and the others were stopped" in err
    assert "the run run is whole up to step " in err
    assert err.endswith("continue with: motet resume run --processes 2\n")
    code, out, err = ended(motet_in_two("resume", "run"))
    assert (code, err) == (0, "")
    assert weights(here / "run") == weights(here / "whole")
    assert records(here / "run") == records(here / "whole")


@pytest.mark.slow
def test_ctrl_c_stops_all_processes_at_one_step_and_is_resumed_by_one(here):
    run = motet_in_two("train", "people.yaml", "training.epochs=100000", "-o", "run")
    wait_for_checkpoint(run, here / "run")
    run.send_signal(signal.SIGINT)
    code, out, err = ended(run)
    assert (code, err) == (130, "")
    stop = out.splitlines()[-1]
    assert stop.startswith("stopped    at step ")
    assert stop.endswith("; continue with: motet resume run --processes 2")
    step = int(stop.split()[3].rstrip(";"))
    assert (here / f"run/checkpoints/last/step-{step:09d}.safetensors").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("mistake", ["model.encoder.hiden=3", "training.freeze=[hiden]"])
def test_a_mistake_in_a_config_is_reported_once(here, mistake):
    code, out, err = ended(motet_in_two("train", "people.yaml", mistake))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "hiden" in err
    assert not (here / "runs").exists()


@pytest.mark.slow
def test_a_failure_of_one_process_is_reported_by_it_alone(here):
    Path("script.py").write_text(SCRIPT)
    code, _, err = ended(started(*TORCHRUN, "script.py", "train", "people.yaml", "-o", "run"))
    assert code == 1
    own = [line for line in err.splitlines() if line.startswith("motet")]
    assert own[0].startswith("motet: in process 2 of 2 on ")
    assert own[1].startswith("motet: RuntimeError: no room for a tensor")
    assert own[2:] == ["motet FAILED"] or own[2:] == []


@pytest.mark.slow
def test_torchrun_restarts_continue_the_run_they_began(here):
    whole = ended(motet_in_two("train", "people.yaml", "-o", "whole"))
    assert whole[0] == 0
    run = started(*TORCHRUN, "--max-restarts", "2", "-m", "motet", "train", "people.yaml")
    wait_for_checkpoint(run, here / "runs/people-001")
    os.kill(workers(run)[0], signal.SIGKILL)
    code, out, _ = ended(run)
    assert code == 0
    assert out.count("resume     from step ") == 1
    assert [path.name for path in (here / "runs").iterdir()] == ["people-001"]
    assert weights(here / "runs/people-001") == weights(here / "whole")


@pytest.mark.slow
def test_commands_of_one_process_are_refused_in_several(here):
    code, _, err = ended(
        started(*TORCHRUN, "-m", "motet", "predict", "run", "x.csv", "-o", "y.csv")
    )
    assert code == 1  # of torchrun
    message = (
        "motet: motet predict runs in one process, and 2 were started; start it without torchrun"
    )
    assert err.count(message) == 1
