"""Plans of independent runs: in processes or on Ray, resumed, and reported."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from quick_cases import others_slow

import motet
from motet.config import ConfigError
from motet.planning import PlannedRun, keep_rows
from motet.planning.local import Worker
from motet.problems import InputError
from motet.run.launching import threads_of_each
from motet.run.progress import progress_of


def rows(count=200):
    random = np.random.default_rng(0)
    x = random.normal(size=count)
    return {"x": x, "y": 2 * x + 1, "high": (x > 0).astype(int)}


def config(**training):
    return {
        "inputs": {"x": "number"},
        "tasks": {"y": {"type": "regression"}, "high": {"type": "classification"}},
        "training": {"epochs": 2, "batch_size": 64, **training},
    }


def runs(seeds, **training):
    return [
        PlannedRun(config(**training), f"seed-{seed}", [f"training.seed={seed}"]) for seed in seeds
    ]


def weights(outcome):
    state = outcome.run().model.state_dict()
    return {name: tensor.tolist() for name, tensor in state.items()}


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("given", "threads"), [("1", 1), ("3", 3), ("", 4), (None, 4)])
def test_each_process_has_the_threads_of_the_environment_or_its_part_of_the_cores(
    given, threads, monkeypatch
):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert threads_of_each(2) == threads


@pytest.mark.parametrize("processes", others_slow([1], [1, 2]))  # each imports torch
def test_a_plan_gives_what_each_run_alone_gives(processes):
    lines = []
    plan = motet.plan(runs([1, 2]), rows())
    outcomes = plan.carry_out(processes=processes, threads=1, say=lines.append)
    assert [each.name for each in outcomes] == ["seed-1", "seed-2"]
    assert all(each.status == "finished" for each in outcomes)
    assert sorted(line.split("  ")[1] for line in lines) == ["seed-1", "seed-2"]
    alone = motet.train(config(seed=2), rows())
    assert weights(outcomes[1]) == {k: v.tolist() for k, v in alone.model.state_dict().items()}
    assert weights(outcomes[0]) != weights(outcomes[1])


@pytest.mark.slow
def test_a_finished_plan_is_not_repeated_and_can_be_extended():
    first = motet.plan(runs([1]), rows(), output="mine").carry_out()[0]
    before = weights(first)
    lines, ended = [], []
    again = motet.plan(runs([1, 2]), rows(), output="mine").carry_out(
        say=lines.append, ended=ended.append
    )
    assert lines[0] == "1 of 2 were finished before"
    assert [each.name for each in ended] == ["seed-2"]
    assert again[0].seconds == 0.0
    assert weights(again[0]) == before
    assert again[1].seconds > 0.0


def test_another_plan_in_the_same_folder_is_refused():
    motet.plan(runs([1]), rows(), output="mine")
    with pytest.raises(InputError, match=r"mine holds a plan of other runs \(seed-1\)"):
        motet.plan(runs([1], epochs=3), rows(), output="mine")


def test_a_part_of_a_plan_leaves_its_other_runs_alone():
    motet.plan(runs([1, 2]), rows(), output="mine")
    part = motet.plan(runs([2, 3]), rows(), output="mine", partial=True)
    assert part.names == ("seed-2", "seed-3")
    with pytest.raises(InputError, match=r"mine holds a plan of other runs \(seed-1\)"):
        motet.plan(runs([1], epochs=3), rows(), output="mine", partial=True)


def test_a_plan_continues_with_the_same_rows_alone():
    data = rows() | {"x": np.where(np.arange(200) < 3, np.nan, rows()["x"])}
    motet.plan(runs([1]), data, output="seeds=1")
    motet.plan(runs([1, 2]), data, output="seeds=1")
    with pytest.raises(InputError, match=r"seeds=1/data.parquet holds other rows"):
        motet.plan(runs([1, 2]), rows(), output="seeds=1")


def test_a_folder_that_was_moved_says_where_to_move_it_back():
    motet.plan(runs([1]), rows(), output="first")
    before = Path("first").resolve()
    Path("first").rename("second")
    with pytest.raises(InputError, match=f"second was made as {before}, .* move it back"):
        motet.plan(runs([1]), rows(), output="second")
    Path("second").rename("first")
    assert motet.plan(runs([1]), rows(), output="first").names == ("seed-1",)


def test_a_config_in_place_of_a_list_is_refused():
    with pytest.raises(InputError, match="found one run, expected a list"):
        motet.plan(config(), rows())


def test_a_plan_in_processes_of_torchrun_is_refused(monkeypatch):
    plan = motet.plan(runs([1]), rows())
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "1")
    with pytest.raises(InputError, match="start it without torchrun"):
        plan.carry_out()


class _Dead:
    """A worker whose process ended before it read what it was sent."""

    exitcode = -9

    def join(self):
        pass


def test_a_worker_that_ends_before_it_reads_its_run_is_reported():
    worker = Worker.__new__(Worker)
    worker.connection, other = multiprocessing.Pipe()
    worker.process, worker._ready = _Dead(), False
    worker.begin("a run")
    other.close()
    assert worker.result().startswith("its process was killed by SIGKILL")
    worker.begin("a run")
    assert not worker.cannot_start


UNGUARDED = """\
import motet
plan = motet.plan([{"inputs": {"x": "number"}, "tasks": {"y": "regression"}}], {"x": [1.0, 2.0] * 9,
    "y": [1.0, 2.0] * 9})
plan.carry_out()
"""


@pytest.mark.slow
def test_a_script_whose_calls_are_not_guarded_is_told_so(tmp_path):
    Path("script.py").write_text(UNGUARDED)
    found = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True)
    last = found.stderr.splitlines()[-1]
    assert found.returncode == 1
    assert last.startswith("motet.problems.InputError: its process exited (1) before it began")
    assert '`if __name__ == "__main__":`' in last
    assert [each.name for each in (tmp_path / "plans").iterdir()] == ["plan-001"]


def test_all_configs_are_checked_before_anything_is_written(tmp_path):
    wrong = config(epochs=-1)
    with pytest.raises((InputError, ConfigError), match=r"run 'bad': .*epochs"):
        motet.plan([*runs([1]), PlannedRun(wrong, "bad")], rows())
    assert not (tmp_path / "plans").exists()


@pytest.mark.parametrize(
    ("given", "data", "message"),
    [
        ([], None, "a plan without runs"),
        (runs([1, 1]), None, "two runs are named 'seed-1'"),
        ([PlannedRun(config(), "../up")], None, "found the name '../up'"),
        (runs([1]), None, "run 'seed-1': found no data"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(given, data, message):
    with pytest.raises(InputError, match=message):
        motet.plan(given, data)


def test_options_that_do_not_fit_are_refused():
    plan = motet.plan(runs([1]), rows())
    for options in ({"processes": 0}, {"threads": -1}, {"engine": "slurm"}, {"address": "auto"}):
        with pytest.raises(InputError):
            plan.carry_out(**options)


@pytest.mark.slow
def test_a_run_that_fails_does_not_stop_the_others():
    broken = {**config(), "tasks": {"missing": {"type": "regression"}}}
    outcomes = motet.plan([PlannedRun(broken, "broken"), *runs([1])], rows()).carry_out()
    assert [each.status for each in outcomes] == ["failed", "finished"]
    assert "missing" in outcomes[0].error
    with pytest.raises(InputError):
        outcomes[0].run()


def when_begun(path, action):
    """Call something once a run has a checkpoint."""

    def watch():
        while not list(path.glob("checkpoints/last/*.safetensors")):
            time.sleep(0.01)
        action()

    threading.Thread(target=watch, daemon=True).start()


def kill_worker():
    (worker,) = multiprocessing.active_children()
    worker.kill()


LONG = {"epochs": 120, "checkpoint_every": 1, "early_stopping": None}


@pytest.mark.slow
def test_a_run_whose_process_is_killed_resumes_in_another():
    (whole,) = motet.plan(runs([1], **LONG), rows(), output="whole").carry_out(threads=1)
    plan, lines = motet.plan(runs([1], **LONG), rows(), output="killed"), []
    path = plan.path / "runs" / "seed-1"
    when_begun(path, kill_worker)
    (outcome,) = plan.carry_out(threads=1, say=lines.append)
    assert "seed-1: its process was killed by SIGKILL" in lines[0]
    assert outcome.status == "finished"
    assert weights(outcome) == weights(whole)


@pytest.mark.slow
def test_after_an_interrupt_a_plan_continues():
    plan = motet.plan(runs([1, 2], **LONG), rows())
    path = plan.path / "runs" / "seed-1"
    when_begun(path, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        plan.carry_out(threads=1)
    assert progress_of(path) == "begun"
    assert progress_of(plan.path / "runs" / "seed-2") == "nothing"
    outcomes = plan.carry_out(threads=1)
    assert [each.status for each in outcomes] == ["finished", "finished"]


def test_ray_is_asked_for_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r'pip install "motet\[ray\]"'):
        motet.plan(runs([1]), rows()).carry_out(engine="ray")


@pytest.fixture
def ray():
    """A local Ray of two workers."""
    ray = pytest.importorskip("ray", reason="not installed: pip install 'motet[ray]'")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    yield ray
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own, of sockets and of the future
def test_ray_gives_what_local_processes_give(ray):
    lines = []
    plan = motet.plan(runs([1, 2, 3]), rows())
    outcomes = plan.carry_out(engine="ray", say=lines.append)
    assert [each.status for each in outcomes] == ["finished"] * 3
    assert lines[0] == "ray: 2 processors"
    local = motet.plan(runs([1, 2, 3]), rows()).carry_out(threads=1)
    assert list(map(weights, outcomes)) == list(map(weights, local))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_a_run_whose_worker_of_ray_is_killed_resumes_on_another(ray):
    (whole,) = motet.plan(runs([1], **LONG), rows()).carry_out(threads=1)
    plan = motet.plan(runs([1], **LONG), rows())

    def kill():
        for pid in filter(str.isdecimal, os.listdir("/proc")):
            try:
                command = Path(f"/proc/{pid}/cmdline").read_text()
            except OSError:
                continue
            if command.startswith("ray::_carry_out"):
                os.kill(int(pid), signal.SIGKILL)

    when_begun(plan.path / "runs" / "seed-1", kill)
    (outcome,) = plan.carry_out(engine="ray")
    assert outcome.status == "finished"
    assert weights(outcome) == weights(whole)


@pytest.mark.parametrize(
    "column",
    [
        [["a", "b"], ["c"], None],
        pa.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], pa.list_(pa.float32(), 2)),
        pa.array(["a", "b", "a"]).dictionary_encode(),
        pa.array(["a", None, "b"], pa.large_string()),
        pa.array([1, 2, None], pa.timestamp("s")),
        pa.array([[{"x": 1}], [], None]),
        [1.0, float("nan"), None],
        [True, None, False],
    ],
)
def test_rows_that_were_kept_are_known_again(column, tmp_path):
    table = pa.table({"y": column})
    keep_rows(tmp_path / "rows.parquet", table)
    keep_rows(tmp_path / "rows.parquet", table)
    with pytest.raises(InputError, match="holds other rows than those given"):
        keep_rows(tmp_path / "rows.parquet", table.slice(0, 2))
