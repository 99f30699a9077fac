"""Tasks that are evaluated less often than others."""

import json

import torch
from torch import nn

from motet.model import MultiTaskModel
from motet.tasks import Classification, Regression
from motet.training import Trainer

X = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
DATA = (X, {"digit": (X[:, 0] > 0).long(), "area": X[:, 1]})


def made(**options):
    torch.manual_seed(0)
    tasks = [Classification("digit", classes=2, main=True), Regression("area", evaluate_every=3)]
    model = MultiTaskModel(nn.Linear(4, 8), tasks)
    return Trainer(model, batch_size=20, **{"patience": None, **options})


def validations(trainer):
    return [record for record in trainer.history if record["split"] == "validation"]


def test_a_task_is_evaluated_as_seldom_as_it_says():
    trainer = made()
    trainer.fit(DATA, DATA, epochs=7)
    both, one = ["digit", "area"], ["digit"]
    found = [list(record["tasks"]) for record in validations(trainer)]
    assert found == [both, one, one, both, one, one, both]


def test_between_its_evaluations_the_last_score_of_a_task_counts():
    trainer = made(monitor="area")
    trainer.fit(DATA, DATA, epochs=5)
    found = [record["monitored"] for record in validations(trainer)]
    assert found[0] == found[1] == found[2] != found[3] == found[4]


def test_patience_counts_evaluations_of_the_tasks_that_are_watched():
    trainer = made(monitor="area", patience=1, learning_rate=1e-12)
    trainer.fit(DATA, DATA, epochs=9)
    assert trainer.progress.epoch == 4  # the second evaluation of the area


def test_an_evaluation_for_which_no_task_is_due_is_none():
    trainer = made()
    trainer.model.disable_task("digit")
    trainer.fit(DATA, DATA, epochs=5)
    assert [record["epoch"] for record in validations(trainer)] == [1, 4]


def test_what_tasks_last_had_survives_a_resume():
    first, second, kept = made(), made(), []

    def keep(kind):
        if kind == "last" and first.progress.epoch == 2:
            tensors, header = first.state()
            kept.extend([{n: t.clone() for n, t in tensors.items()}, json.dumps(header)])

    first.on_checkpoint = keep
    first.fit(DATA, DATA, epochs=6)
    second.load_state(kept[0], json.loads(kept[1]))
    second.fit(DATA, DATA, epochs=6)

    def told(record):
        return {key: value for key, value in record.items() if key != "seconds"}

    expected = [told(record) for record in first.history if record["epoch"] > 2]
    assert [told(record) for record in second.history] == expected
