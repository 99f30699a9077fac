"""A loss balancer inside another balancer, trained: calls of the loop, parameters, resuming."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from motet.balancing import DWA, PCGrad, Uncertainty
from motet.model import MultiTaskModel
from motet.tasks import Regression
from motet.training import Trainer

X = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
AREA = X[:, 0] - X[:, 2]
AREA[::4] = np.nan
DATA = (X, {"a": X[:, 0] + X[:, 1], "b": AREA})
TASKS = ("a", "b")
DECAY = {"type": "adamw", "weight_decay": 0.5}
INNER = ("dwa", "uncertainty", "famo", "random")


def trainer(balancer, weight=1.0, **options):
    torch.manual_seed(0)
    tasks = [Regression("a", weight=weight), Regression("b")]
    model = MultiTaskModel(nn.Sequential(nn.Linear(4, 8), nn.ReLU()), tasks)
    return Trainer(model, balancer, batch_size=16, learning_rate=1e-2, **options)


def trained(balancer, epochs=4, **options):
    made = trainer(balancer, **options)
    made.fit(DATA, epochs=epochs)
    return made


def batch(tasks=TASKS):
    return {"inputs": X[:16], "targets": {task: DATA[1][task][:16] for task in tasks}}


def test_calls_of_the_loop_reach_the_loss_balancer():
    dwa = trained({"type": "pcgrad", "losses": {"type": "dwa"}}).balancer.losses
    assert (dwa.means > 0).all()
    assert len(set(dwa.weights(torch.arange(2)).tolist())) == 2
    scored = trainer({"type": "upgrad", "losses": "focal"})
    scored.fit(DATA, validation=DATA, epochs=2)
    assert (scored.balancer.losses.source == 2).all()
    exact = trained({"type": "moco", "losses": {"type": "famo", "exact": True}}).balancer.losses
    assert exact.logits.any()


def test_reported_weights_are_those_of_both_balancers():
    fitted = trained({"type": "pcgrad", "losses": "dwa"}, epochs=3, weight=2.0)
    inner = fitted.balancer.losses.weights(torch.arange(2))
    weights = fitted.train_step(batch()).balanced.weights
    assert weights["a"] >= 2 * inner[0] - 1e-6  # what a projection takes out comes on top
    assert weights["b"] >= inner[1] - 1e-6
    assert inner[0] != 1


def test_what_the_loss_balancer_learns_is_in_the_optimizer_without_weight_decay():
    made = trainer({"type": "pcgrad", "losses": "uncertainty"}, optimizer=DECAY)
    (learned,) = made.balancer.parameters()
    (group,) = (
        each
        for each in made.optimizer.param_groups
        if any(parameter is learned for parameter in each["params"])
    )
    assert group["weight_decay"] == 0
    made.fit(DATA, epochs=2)
    assert learned.detach().abs().min() > 1e-3


@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("outer", ["pcgrad", "moco"])
def test_micro_batches_train_as_whole_batches(outer, inner):
    choice = {"type": outer, "losses": inner}
    whole, pieces = (trained(choice, accumulate=count) for count in (1, 2))
    ours, theirs = ([*each.model.parameters()] for each in (pieces, whole))
    assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("outer", [{"type": "pcgrad", "every": 3}, {"type": "excess"}])
def test_a_resumed_run_ends_bit_for_bit_as_one_that_never_stopped(outer, inner):
    states = []

    def keep(_):
        if kept.progress.step == 10:
            tensors, header = kept.state()
            states.append(({name: each.clone() for name, each in tensors.items()}, header))

    choice = {**outer, "losses": inner}
    kept = trainer(choice, checkpoint_every=1, on_checkpoint=keep)
    kept.fit(DATA, epochs=4)
    resumed = trainer(choice)
    resumed.load_state(*states[0])
    resumed.fit(DATA, epochs=4)
    for name, tensor in kept.state()[0].items():
        assert torch.equal(tensor, resumed.state()[0][name]), name


def test_an_object_trains_as_its_name_does():
    by_name = trained({"type": "pcgrad", "losses": {"type": "dwa", "window": 3}})
    by_object = trained(PCGrad(TASKS, losses=DWA(TASKS, window=3)))
    for ours, theirs in zip(by_object.model.parameters(), by_name.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_stages_may_be_compositions():
    stages = [{"until": 1, "type": "equal"}, {"type": "pcgrad", "losses": "dwa"}]
    fitted = trained(stages)
    assert isinstance(fitted.balancer.losses, DWA)
    assert (fitted.balancer.losses.means > 0).all()


def test_parameters_of_a_task_that_is_absent_stay():
    made = trainer(PCGrad(TASKS, losses=Uncertainty(TASKS)), optimizer="sgd")
    made.train_step(batch())
    before = made.balancer.losses.log_variance.detach().clone()
    made.train_step(batch(["a"]))
    after = made.balancer.losses.log_variance.detach()
    assert before[1] == after[1]
    assert before[0] != after[0]
