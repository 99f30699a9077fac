"""What a run prints while it trains: every epoch of a short run, some of a long one."""

import re
from types import SimpleNamespace

import pytest

from motet.run.observers import ProgressLines
from motet.training import EvaluationRecord

TRAINER = SimpleNamespace()


def printed(epochs, *, until=None, best=(), every=1):
    """The epochs that are shown, in the order of their lines, and all lines."""
    lines = []
    progress = ProgressLines(lines.append, epochs)
    progress.on_begin(TRAINER)
    for epoch in range(every, (until or epochs) + 1, every):
        at = {"step": epoch, "epoch": epoch, "seconds": 1.0, "learning_rate": 1e-3}
        found = {"event": "epoch", "score": 0.5, "monitored": 0.5, "best": epoch in best}
        progress.on_evaluation(TRAINER, EvaluationRecord(tasks={"a": {"r2": 0.5}}, **at, **found))
    progress.on_end(TRAINER)
    found = (re.match(r"epoch +(\d+)/", line) for line in lines)
    return [int(match[1]) for match in found if match], lines


def test_every_epoch_of_a_short_run_is_shown_once():
    assert printed(20, best=(3, 20))[0] == list(range(1, 21))
    assert printed(20, until=7, best=(7,))[0] == list(range(1, 8))
    assert len(printed(20)[1]) == 20


@pytest.mark.parametrize("epochs", [21, 75, 300, 12_345])
def test_some_epochs_of_a_long_run_are_shown_the_last_among_them(epochs):
    shown, lines = printed(epochs)
    assert shown[:3] == [1, 2, 3]
    assert shown[-1] == epochs
    assert 10 <= len(shown) <= 25
    assert shown == sorted(set(shown))
    assert lines[0] == f"epochs     {epochs}, some of them shown; metrics.jsonl has all"


def test_the_best_epoch_and_the_one_that_training_stopped_at_are_shown_in_the_end():
    assert printed(300, until=50, best=(17, 38))[0] == [1, 2, 3, 15, 30, 45, 38, 50]
    assert printed(300, until=50, best=(45,))[0][-2:] == [45, 50]
    assert printed(300, until=50, best=(50,))[0][-2:] == [45, 50]


def test_epochs_without_evaluation_leave_no_gap():
    assert printed(300, every=50)[0] == [50, 100, 150, 200, 250, 300]
    assert printed(300, every=7)[0][:4] == [21, 35, 49, 63]
