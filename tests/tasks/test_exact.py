"""The share of rows of which everything is right, of one task and of several."""

import math

import pytest
import torch

import motet
from motet import TaskMetrics
from motet.config import ConfigError
from motet.tasks import Classification, Regression, SequenceLabelling

TAGS = ["O", "B-x", "I-x"]


def tasks(*metrics):
    intent = Classification("intent", classes=["a", "b"])
    slots = SequenceLabelling("slots", classes=TAGS, metrics=["span_f1", *metrics])
    return intent, slots


def raw(values, size):
    return torch.nn.functional.one_hot(torch.tensor(values), size).float() * 9


INTENT = raw([0, 1, 1, 0], 2)
SLOTS = raw([[0, 1], [0, 0], [1, 2], [1, 0]], 3)
TARGETS = {
    "intent": torch.tensor([0, 1, 0, -100]),  # right, right, wrong, unknown
    "slots": torch.tensor([[0, 1], [1, 0], [1, 2], [1, -100]]),  # right, wrong, right, right
}


def test_rows_with_all_labels_right():
    metrics = TaskMetrics(tasks("sentence_exact", "sentence_exact+intent"))
    for rows in (slice(0, 1), slice(1, 4)):
        metrics.update(
            {"intent": INTENT[rows], "slots": SLOTS[rows]},
            {name: target[rows] for name, target in TARGETS.items()},
        )
    found = metrics.compute("slots")
    assert found["sentence_exact"] == 3 / 4
    assert found["sentence_exact+intent"] == 1 / 3  # of the rows that both label


def test_a_task_that_is_left_out_is_named():
    metrics = TaskMetrics(tasks("sentence_exact+intent"))
    metrics.update({"slots": SLOTS}, {"slots": TARGETS["slots"]})
    assert math.isnan(metrics.compute("slots")["sentence_exact+intent"])
    assert "intent" in metrics.notes["slots.sentence_exact+intent"]


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("sentence_exact+intend", "did you mean 'intent'"),
        ("sentence_exact+size", "kind regression, which it does not suit"),
        ("sentence_exact+slots", "is in it twice"),
        ("sentence_exact+", r"sentence_exact\+TASK"),
        ("span_f1+intent", r"sentence_exact\+TASK"),
    ],
)
def test_what_does_not_fit_is_refused_when_a_trainer_is_made(metric, message):
    model = motet.MultiTaskModel(torch.nn.Linear(2, 3), [*tasks(metric), Regression("size")])
    with pytest.raises(motet.InputError, match=message):
        motet.Trainer(model)


def test_a_run_reports_it(tmp_path):
    rows = 40
    words = [["go", "to", "rome"] if row % 2 else ["play", "jazz"] for row in range(rows)]
    data = {
        "words": words,
        "slots": [["O", "O", "B-x"] if row % 2 else ["O", "O"] for row in range(rows)],
        "intent": ["go" if row % 2 else "play" for row in range(rows)],
    }
    config = {
        "inputs": {
            "words": {"type": "text", "encoder": {"type": "lstm", "width": 8, "dropout": 0.0}}
        },
        "tasks": {
            "intent": "classification",
            "slots": {
                "type": "sequence_labelling",
                "metrics": ["span_f1", "sentence_exact+intent"],
            },
        },
        "training": {
            "epochs": 15,
            "batch_size": 8,
            "optimizer": {"learning_rate": 0.05},
            "average": None,
        },
    }
    run = motet.train(config, data=data, output=tmp_path / "run")
    assert run.evaluate(data, split="test")["slots"]["sentence_exact+intent"] == 1
    config["tasks"]["slots"]["metrics"][1] = "sentence_exact+intend"
    with pytest.raises(ConfigError, match=r"tasks\.slots\.metrics.*did you mean 'intent'"):
        motet.train(config, data=data, output=tmp_path / "other")
