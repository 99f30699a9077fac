"""The history of a run, from memory and from ``metrics.jsonl``."""

import json

import pytest

from motet.problems import InputError
from motet.training import History

RECORDS = [
    {"event": "step", "step": 50, "epoch": 1, "split": "train", "tasks": {"a": {"loss": 9.0}}},
    {"event": "epoch", "step": 60, "epoch": 1, "split": "train", "tasks": {"a": {"loss": 2.0}}},
    {
        "event": "epoch",
        "step": 60,
        "epoch": 1,
        "split": "validation",
        "best": True,
        "tasks": {"a": {"r2": 0.5, "loss": 2.5}, "b": {"loss": 1.5}},
    },
    {"event": "epoch", "step": 120, "epoch": 2, "split": "train", "tasks": {"a": {"loss": 1.0}}},
    {
        "event": "epoch",
        "step": 120,
        "epoch": 2,
        "split": "validation",
        "best": False,
        "tasks": {"a": {"r2": 0.25, "loss": 3.5}, "b": {"loss": 1.25}},
    },
    {"event": "test", "step": 120, "epoch": 1, "split": "test", "tasks": {"a": {"r2": 0.4}}},
]


def written(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in RECORDS))
    return path


def test_a_history_is_the_epochs_of_the_file(tmp_path):
    history = History.read(written(tmp_path))
    assert list(history) == RECORDS[1:5]
    assert len(history) == 2
    assert history.best_epoch == 1


def test_a_curve_has_a_number_per_epoch(tmp_path):
    history = History.read(written(tmp_path))
    assert history.curve("a", split="train") == [2.0, 1.0]
    assert history.curve("a", "r2") == [0.5, 0.25]
    assert history.curve("b") == [1.5, 1.25]


def test_the_table_has_a_row_per_number(tmp_path):
    table = History.read(written(tmp_path)).table()
    assert table.column_names == ["epoch", "split", "task", "metric", "value"]
    assert table.num_rows == 8
    assert table.slice(6, 1).to_pylist() == [
        {"epoch": 2, "split": "validation", "task": "a", "metric": "loss", "value": 3.5}
    ]


def test_without_a_file_the_history_is_empty(tmp_path):
    history = History.read(tmp_path / "metrics.jsonl")
    assert (len(history), list(history), history.best_epoch) == (0, [], None)


@pytest.mark.parametrize(
    "line",
    [
        '{"event": "epoch", "epoch": 1, "split": "train"}',
        '{"event": "epoch", "epoch": "one", "split": "train", "tasks": {}}',
        '{"event": "epoch", "epoch": 1, "split": "train", "tasks": {"a": 2}}',
    ],
)
def test_a_record_that_lacks_something_is_named(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(InputError, match=r"line 1 of .* is not a record"):
        History.read(path)
