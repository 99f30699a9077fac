"""How often a run writes checkpoints where its config does not say."""

import pytest
from small_runs import CONFIG, records, rows, weights

import motet
from motet.run import observers
from motet.run.observers import SECONDS_BETWEEN, RunFiles


class Time:
    """A clock that is set by hand, and a trainer and checkpoints that note what is saved."""

    def __init__(self):
        self.now, self.ends, self.saved = 100.0, False, []

    def __call__(self):
        return self.now

    def save(self, kind, trainer):
        self.saved.append((kind, self.now - 100))


def saved(every, times, last):
    time = Time()
    files = RunFiles(None, time, every=every, clock=time)
    for seconds in times:
        time.now, time.ends = 100.0 + seconds, seconds == last
        for kind in ("best", "last"):
            files.on_checkpoint(time, kind)
    return [seconds for kind, seconds in time.saved if kind == "last"]


def test_checkpoints_are_seconds_apart_but_for_the_first_and_the_last():
    assert saved(False, [1, 2, 5.9, 6, 7, 30, 31, 32], last=32) == [1, 6, 30, 32]
    assert saved(True, [1, 2, 3], last=3) == [1, 2, 3]


@pytest.fixture
def sparse(monkeypatch):
    """No checkpoint is due by the time that has passed, however slow the machine is."""
    monkeypatch.setattr(observers, "SECONDS_BETWEEN", 10 * 3600.0)
    return {**CONFIG, "training": CONFIG["training"] | {"epochs": 5, "checkpoint_every": None}}


def steps(path, kind="last"):
    return [int(each.stem.removeprefix("step-")) for each in sorted(path.glob(f"*/{kind}/step-*"))]


def test_a_run_of_short_epochs_has_checkpoints_of_the_first_and_the_last(sparse, tmp_path):
    assert SECONDS_BETWEEN < 60
    motet.train(sparse, data=rows(), output=tmp_path / "run")
    assert steps(tmp_path / "run") == [5, 25]


def test_a_run_that_is_killed_resumes_from_an_early_epoch_to_the_bit(sparse, tmp_path, monkeypatch):
    motet.train(sparse, data=rows(), output=tmp_path / "whole")

    class Killed(BaseException):
        pass

    def kill(line):
        if line.startswith("epoch") and " 4/5" in line:
            raise Killed

    with pytest.raises(Killed):
        motet.train(sparse, data=rows(), output=tmp_path / "cut", say=kill)
    assert steps(tmp_path / "cut") == [5]
    motet.resume(tmp_path / "cut", data=rows())
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")
    assert records(tmp_path / "cut") == records(tmp_path / "whole")
