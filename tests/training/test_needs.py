"""The calls that a balancer declares, made by the trainer: when, and with what."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from motet.balancing import LossBalancer
from motet.balancing.famo import FAMO
from motet.model import MultiTaskModel
from motet.tasks import Classification, Regression
from motet.training import Trainer

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
