"""Options without effect are refused or reported, and silence means that everything acts."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.tasks import Classification, Regression
from motet.training import Interrupted, Trainer

X = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32)
DATA = (X, {"c": np.arange(32) % 3, "r": X[:, 0]})
BATCH = {
    "inputs": torch.tensor(X),
    "targets": {task: torch.tensor(values) for task, values in DATA[1].items()},
}


def made(weight=1.0, **options):
    torch.manual_seed(0)
    tasks = [Classification("c", classes=3), Regression("r", weight=weight)]
    encoder = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
    return Trainer(MultiTaskModel(encoder, tasks), batch_size=16, **options)


# Without validation data -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "option",
    [
        {"patience": 3},
        {"patience": 5},  # the default, but asked for
        {"evaluate_every": 2},
        {"evaluate_every": {"epochs": 2}},
        {"monitor": "worst"},
        {"monitor": "r"},
    ],
)
def test_options_that_need_validation_data_are_refused_without(option):
    name = next(iter(option))
    trainer = made(**option)
    with pytest.raises(
        InputError,
        match=f"^(Trainer: )?{name}: found .*, which has no effect without validation data",
    ):
        trainer.fit(DATA, epochs=1)
    trainer.fit(DATA, DATA, epochs=1)


@pytest.mark.parametrize("option", [{}, {"patience": None}, {"evaluate_every": "epoch"}])
def test_defaults_need_no_validation_data(option):
    assert made(**option).fit(DATA, epochs=1).records


def test_the_default_patience_is_five():
    assert made().patience == 5


# Epochs ------------------------------------------------------------------------------------------


def test_a_second_fit_with_the_same_epochs_says_that_it_trains_nothing():
    trainer = made()
    trainer.fit(DATA, epochs=3)
    steps = trainer.step
    with pytest.warns(UserWarning, match=r"fit\(epochs=3\) trains nothing: .*give epochs=6"):
        trainer.fit(DATA, epochs=3)
    assert trainer.step == steps
    trainer.fit(DATA, epochs=6)
    assert trainer.step == 2 * steps


def test_a_fit_after_early_stopping_says_so():
    trainer = made(patience=1, learning_rate=1e-12, lr_schedule="constant")
    trainer.fit(DATA, DATA, epochs=9)
    assert trainer.progress.stopped
    with pytest.warns(UserWarning, match="trains nothing: early stopping ended training after ep"):
        trainer.fit(DATA, DATA, epochs=20)


def test_no_epoch_at_all_is_no_mistake():
    made().fit(DATA, epochs=0)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"balancer": [{"type": "equal", "until": 1}, {"type": "pcgrad"}]}, "stages of balancer"),
        ({"balancer": "dwa"}, "balancer DWA"),
        ({"lr_schedule": "linear"}, "lr_schedule"),
        ({"freeze": ["encoder"], "unfreeze": {"every": 1}}, "unfreeze"),
        ({"weight": {"from": 1.0, "to": 2.0, "epochs": (1, 3)}}, "weights of tasks"),
    ],
)
def test_steps_alone_warn_once_of_what_only_epochs_move(options, named):
    trainer = made(**options)
    for _ in range(99):
        trainer.train_step(BATCH)
    with pytest.warns(UserWarning, match=f"100 steps were made by train_step, .*{named}"):
        trainer.train_step(BATCH)
    for _ in range(101):
        trainer.train_step(BATCH)


def test_steps_alone_are_quiet_where_nothing_waits_for_epochs():
    for lr_schedule in ("cosine", "constant"):  # the first is the default
        trainer = made(balancer="pcgrad", lr_schedule=lr_schedule)
        for _ in range(101):
            trainer.train_step(BATCH)


def test_epochs_are_quiet_however_many_steps_they_have():
    trainer = made(balancer="dwa", lr_schedule="linear")
    trainer.batch_size = 1
    trainer.fit(DATA, epochs=4)
    assert trainer.step == 128


# Frozen tasks ------------------------------------------------------------------------------------


def test_a_frozen_task_whose_encoder_trains_is_reported_once_and_changes():
    trainer = made(freeze=["r"])
    before = trainer.predict(X)["r"]
    with pytest.warns(UserWarning, match="'r': frozen, but what is shared .* trains") as caught:
        trainer.fit(DATA, epochs=1)
    assert len(caught) == 1
    assert not np.allclose(trainer.predict(X)["r"], before)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer.fit(DATA, epochs=2)


def test_with_the_encoder_a_frozen_task_stays_as_it_is_and_nothing_is_said():
    trainer = made(freeze=["r", "encoder"])
    before = trainer.predict(X)["r"]
    trainer.fit(DATA, epochs=1)
    assert np.array_equal(trainer.predict(X)["r"], before)


# States and stopping -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "load", [lambda t, state: t.load_state(state), lambda t, s: t.load_state(*s)]
)
def test_a_state_is_loaded_as_it_was_returned(load):
    first, second = made(), made(learning_rate=0.5)
    first.fit(DATA, epochs=2)
    load(second, first.state())
    assert second.progress.epoch == 2
    assert np.array_equal(second.predict(X)["r"], first.predict(X)["r"])


@pytest.mark.parametrize("wrong", [{}, ({},), ({}, {}), None, "state"])
def test_what_is_no_state_is_refused(wrong):
    with pytest.raises(InputError, match=r"expected what trainer.state\(\) returned"):
        made().load_state(wrong)


def test_a_trainer_that_is_asked_to_stop_saves_and_another_goes_on():
    states = []
    stopped = made(on_checkpoint=lambda kind: states.append(stopped.state()))
    stopped.on_record = lambda record: setattr(stopped, "stop_requested", True)
    with pytest.raises(Interrupted):
        stopped.fit(DATA, epochs=3)
    assert stopped.progress.epoch == 1
    resumed, whole = made(), made()
    resumed.load_state(states[-1])
    resumed.fit(DATA, epochs=3)
    whole.fit(DATA, epochs=3)
    assert np.array_equal(resumed.predict(X)["r"], whole.predict(X)["r"])
