"""The calls that a balancer declares, made by the trainer: when, and with what."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from motet.balancing import LossBalancer
from motet.balancing.famo import FAMO
from motet.data.arrays import ArrayData
from motet.data.loaders import LoaderData
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.tasks import Classification, Regression
from motet.training import Trainer
from motet.training.needs import ValidationBatches

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 6)).astype(np.float32)
DIGIT = (X[:, 0] > 0).astype(np.int64)
AREA = X[:, 2] * 2 - X[:, 3]
AREA[::4] = np.nan
DATA = (X, {"digit": DIGIT, "area": AREA})
TASKS = ("digit", "area")


def made(dropout=0.0):
    torch.manual_seed(0)
    encoder = nn.Sequential(
        nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, 8)
    )
    return MultiTaskModel(encoder, [Classification("digit", classes=2), Regression("area")])


class Plain(LossBalancer):
    """The plain sum, and a note of every call."""

    def __init__(self):
        super().__init__(TASKS)
        self.calls = []

    def forward(self, losses, present):
        self.calls.append(("losses", dict(zip(TASKS, losses.tolist(), strict=True))))
        return losses.sum()


class After(Plain):
    exact = True

    def after_step(self, losses):
        self.calls.append(("after", {task: loss.item() for task, loss in losses.items()}))


class Scored(Plain):
    def observe_scores(self, scores):
        self.calls.append(("scores", scores))


def trainer_with(balancer, dropout=0.0, **options):
    return Trainer(made(dropout), balancer, batch_size=32, optimizer="sgd", **options)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_losses_after_a_step_are_of_the_same_batch_and_dropout(dropout):
    trainer = trainer_with(After(), dropout, learning_rate=1e-12)
    trainer.fit(DATA, epochs=3)
    calls = trainer.balancer.calls
    assert [kind for kind, _ in calls] == ["losses", "after"] * 6
    for (_, before), (_, after) in zip(calls[::2], calls[1::2], strict=True):
        assert after == pytest.approx(before)
    moved = trainer_with(After(), dropout, learning_rate=0.01)
    moved.fit(DATA, epochs=3)
    calls = moved.balancer.calls
    assert all(
        sum(after.values()) < sum(before.values())
        for (_, before), (_, after) in zip(calls[::2], calls[1::2], strict=True)
    )


def test_the_forward_pass_after_a_step_leaves_no_trace():
    plain, after = (trainer_with(each, dropout=0.5) for each in (Plain(), After()))
    torch.manual_seed(3)
    draw = torch.rand(1)
    torch.manual_seed(3)
    for trainer in (plain, after):
        trainer.fit(DATA, epochs=2)
    assert torch.rand(1) == draw
    for ours, theirs in zip(
        after.model.state_dict().values(), plain.model.state_dict().values(), strict=True
    ):
        assert torch.equal(ours, theirs)


def test_a_step_that_is_not_finite_has_no_losses_after():
    trainer = trainer_with(After())
    trainer.train_step({"inputs": X * np.inf, "targets": DATA[1]})
    assert trainer.balancer.calls == []


def test_famo_asks_for_the_losses_after_only_when_exact():
    for exact in (False, True):
        trainer = trainer_with(FAMO(TASKS, exact=exact))
        forwards = []
        trainer.model.register_forward_hook(lambda *_, seen=forwards: seen.append(1))
        trainer.train_epoch(DATA)
        assert len(forwards) == (4 if exact else 2)


def test_scores_of_each_evaluation_are_told_without_those_that_cannot_be_computed():
    valid = (X[:4], {"digit": np.zeros(4, dtype=np.int64), "area": AREA[:4]})
    trainer = trainer_with(Scored(), monitor="area")
    history = trainer.fit(DATA, valid, epochs=2)
    told = [values for kind, values in trainer.balancer.calls if kind == "scores"]
    assert len(told) == 2
    assert all(not math.isnan(score) for scores in told for score in scores.values())
    monitored = [r["monitored"] for r in history.records if r["split"] == "validation"]
    assert [scores["area"] for scores in told] == monitored


def test_focal_turns_to_the_scores_of_the_validation_data():
    trainer = trainer_with("focal")
    trainer.fit(DATA, DATA, epochs=2)
    assert_close(trainer.balancer.source, torch.full((2,), 2.0))


# Looking ahead -----------------------------------------------------------------------------------


class Ahead(Plain):
    def look_ahead(self, module, optimizer, train, validation, *, process_group):
        self.calls.append(("train", {task: loss.item() for task, loss in train().items()}))
        self.calls.append(("validation", len(validation())))


def rows_of(batches, steps):
    return [tuple(batches.at(step).inputs.flatten().tolist()) for step in steps]


@pytest.mark.parametrize("loader", [False, True])
def test_validation_batches_go_round_through_all_rows_and_depend_on_the_step_alone(loader):
    array = ArrayData(np.arange(7.0), {"a": np.arange(7.0)})
    data = LoaderData(list(array.batches(3))) if loader else array
    seen = rows_of(ValidationBatches(data, 3, seed=0), range(9))
    for start in (0, 3, 6):
        assert sorted(sum(seen[start : start + 3], ())) == list(range(7))
    assert rows_of(ValidationBatches(data, 3, seed=0), [5, 6, 2, 8]) == [
        seen[step] for step in (5, 6, 2, 8)
    ]
    if not loader:
        assert len(set(seen)) == 9
        assert rows_of(ValidationBatches(data, 3, seed=1), range(9)) != seen


def test_a_step_is_looked_ahead_with_its_own_batch_and_dropout_and_leaves_no_trace():
    plain, ahead = (trainer_with(each, dropout=0.5) for each in (Plain(), Ahead()))
    for trainer in (plain, ahead):
        trainer.fit(DATA, DATA, epochs=2)
    calls = ahead.balancer.calls
    assert [kind for kind, _ in calls] == ["train", "validation", "losses"] * 4
    assert calls[0][1] == pytest.approx(calls[2][1])
    losses = [values for kind, values in calls if kind == "losses"]
    assert losses == [values for kind, values in plain.balancer.calls if kind == "losses"]


def test_meta_learns_from_the_validation_losses_of_the_main_tasks():
    tasks = [Classification("digit", classes=2), Regression("area", main=True)]
    model = MultiTaskModel(nn.Linear(6, 8), tasks)
    trainer = Trainer(model, "meta", batch_size=32)
    assert trainer.balancer.main == ["area"]
    trainer.fit(DATA, DATA, epochs=3)
    assert (trainer.balancer.moments[:, 2] == 6).all()
    assert (trainer.balancer.learned != 1).all()


def test_a_stage_that_looks_ahead_does_so_in_its_turn_and_its_needs_are_checked_at_the_start():
    stages = [{"type": "equal", "until": 1}, {"type": "meta", "until": 2}, "famo"]
    trainer = trainer_with(stages)
    trainer.fit(DATA, DATA, epochs=3)
    assert (trainer.stages[1].moments[:, 2] == 2).all()
    trainer = trainer_with(stages)
    with pytest.raises(InputError, match="learns its weights from validation data"):
        trainer.fit(DATA, epochs=3)
    assert trainer.step == 0


def test_meta_without_validation_data_is_a_clear_error():
    with pytest.raises(InputError, match="learns its weights from validation data; found none"):
        trainer_with("meta").fit(DATA, epochs=1)
    with pytest.raises(InputError, match="Meta needs `look_ahead"):
        trainer_with("meta").train_epoch(DATA)
