"""Two processes never write to one run folder."""

import os
import signal
import subprocess
import sys

import pytest
from power_cuts import cut_short
from small_runs import CONFIG, rows

import motet
from motet.problems import InputError
from motet.run.lock import LOCK, holding

HOLD = """
import pathlib, sys, time
from motet.run.lock import holding
with holding(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds ``tmp_path / "run"``."""
    (tmp_path / "run").mkdir()
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_process_is_refused_and_learns_who_holds_the_folder(holder, tmp_path):
    with pytest.raises(InputError, match=rf"in use by process {holder.pid} on .*stop it first"):
        motet.train(CONFIG, data=rows(), output=tmp_path / "run")
    assert (tmp_path / "run" / LOCK).exists()


def test_a_killed_holder_blocks_nobody(holder, tmp_path):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert motet.train(CONFIG, data=rows(), output=tmp_path / "run").path == tmp_path / "run"
    assert not (tmp_path / "run" / LOCK).exists()


def test_resume_is_refused_while_the_run_trains(tmp_path, monkeypatch):
    cut_short(CONFIG, tmp_path / "run", monkeypatch, 5, data=rows())
    with (
        holding(tmp_path / "run"),
        pytest.raises(InputError, match=f"in use by process {os.getpid()} "),
    ):
        motet.resume(tmp_path / "run", rows())
    motet.resume(tmp_path / "run", rows())


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    cut_short(CONFIG, tmp_path / "run", monkeypatch, 5, data=rows())
    really = os.open

    def read_only(path, flags, *rest, **named):
        if flags & os.O_CREAT:
            raise OSError(30, "Read-only file system")
        return really(path, flags, *rest, **named)

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(InputError, match=r"cannot be written \(Read-only file system\); copy it"):
        motet.resume(tmp_path / "run", rows())


def test_a_file_system_without_locks_is_reported(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", unsupported)
    with (
        pytest.warns(UserWarning, match=r"cannot be locked \(Operation not supported\)"),
        holding(tmp_path),
    ):
        pass
