"""What a trainer returns and takes as its state shares no memory with it."""

import copy

import pytest
import torch
from torch import nn

from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.tasks import Regression
from motet.training import Trainer

DRAW = torch.Generator().manual_seed(0)
X = torch.randn(40, 4, generator=DRAW)
TARGETS = {"a": X[:, 0] + X[:, 1], "b": X[:, 1] * X[:, 2]}
BALANCERS = ("equal", "uncertainty", "gradnorm", "famo", "pcgrad", "moco", "db_mtl")


def make(balancer="equal", **options):
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh())
    model = MultiTaskModel(encoder, [Regression("a"), Regression("b")])
    return Trainer(model, balancer, batch_size=10, normalize_losses="initial", **options)


def train(trainer, epochs=1):
    for _ in range(epochs):
        trainer.train_epoch((X, TARGETS))
    return trainer


def assert_same(one, other):
    assert one[1] == other[1]
    assert list(one[0]) == list(other[0])
    for name, tensor in one[0].items():
        assert torch.equal(tensor, other[0][name]), name


@pytest.mark.parametrize("optimizer", ["adamw", {"type": "sgd", "momentum": 0.9}])
@pytest.mark.parametrize("balancer", BALANCERS)
def test_a_trainer_can_return_to_a_state_that_it_gave_in_this_process(balancer, optimizer):
    trainer = train(make(balancer, optimizer=optimizer))
    state = trainer.state()
    after = train(trainer).state()
    trainer.load_state(*state)
    assert_same(trainer.state(), state)
    assert_same(train(trainer).state(), after)


@pytest.mark.parametrize("change", ["shape", "step", "name"])
def test_a_state_that_does_not_fit_the_optimizer_is_refused(change):
    tensors, header = train(make()).state()
    name = next(each for each in tensors if each.endswith("/exp_avg"))
    if change == "shape":
        tensors[name] = tensors[name].flatten().repeat(2)
    elif change == "step":
        step = name.replace("exp_avg", "step")
        tensors[step] = tensors[step].repeat(2)
    else:
        tensors[name + "x"] = tensors.pop(name)
    with pytest.raises(InputError, match="the checkpoint holds another optimizer: found"):
        make().load_state(tensors, header)


@pytest.mark.parametrize("change", ["older", "newer"])
def test_a_state_of_another_version_is_refused_before_anything_is_loaded(change):
    tensors, header = train(make()).state()
    if change == "older":
        del header["progress"]["best_loss"]
    else:
        header["progress"]["later"] = 0
    other = make(optimizer="sgd")
    before = other.state()
    with pytest.raises(InputError, match=r"differ in (best_loss|later); load it with the version"):
        other.load_state(tensors, header)
    assert_same(other.state(), before)


WITHOUT = ("tasks", "enabled", "frozen", "held", "reached", "progress", "judged", "kept_for")


@pytest.mark.parametrize("name", WITHOUT)
def test_a_damaged_state_is_refused_and_nothing_of_it_loaded(name):
    tensors, header = train(make()).state()
    (header if name in header else header["progress"])[name] = None
    other = train(make())
    before = train(other).state()
    with pytest.raises(InputError, match="damaged, or of another version of motet: "):
        other.load_state(tensors, header)
    assert_same(other.state(), before)


@pytest.mark.parametrize("change", ["width", "balancer", "optimizer", "place"])
def test_a_state_that_does_not_fit_is_not_half_loaded(change):
    tensors, header = train(make("uncertainty")).state()
    own = {"balancer": "pcgrad"} if change == "balancer" else {"balancer": "uncertainty"}
    if change == "width":
        last = [name for name in tensors if name.startswith("model/") and "weight" in name][-1]
        tensors[last] = tensors[last].repeat(1, 2)
    elif change == "place":
        tensors["optimizer/99/exp_avg"] = torch.zeros(3)
    other = train(make(**own, optimizer="sgd" if change == "optimizer" else "adamw"))
    other.model.freeze("a")
    before = train(other).state()
    with pytest.raises(InputError, match=r"^the (checkpoint holds another|state is damaged)"):
        other.load_state(tensors, header)
    assert_same(other.state(), before)
    train(other)


@pytest.mark.parametrize("balancer", BALANCERS)
def test_trainers_that_loaded_one_state_do_not_change_each_other_or_it(balancer):
    state = train(make(balancer)).state()
    kept = copy.deepcopy(state)
    one, other = make(balancer), make(balancer)
    one.load_state(*state)
    other.load_state(*state)
    train(one, epochs=2)
    assert_same(other.state(), kept)
    assert_same(state, kept)


def test_the_best_weights_in_a_state_stay_as_they_are():
    trainer = make()
    trainer.fit((X, TARGETS), validation=(X, TARGETS), epochs=1)
    state = trainer.state()
    kept = copy.deepcopy(state)
    second = make()
    second.load_state(*state)
    second.fit((X, TARGETS), validation=(X, TARGETS), epochs=3)
    assert_same(state, kept)


def test_a_state_is_on_the_cpu_and_tied_weights_are_two_tensors_in_it():
    torch.manual_seed(0)
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    model = MultiTaskModel(nn.Sequential(first, nn.Tanh(), second), [Regression("a")])
    tensors, _ = Trainer(model).state()
    assert {tensor.device.type for tensor in tensors.values()} == {"cpu"}
    places = [tensor.data_ptr() for tensor in tensors.values() if tensor.numel()]
    assert len(set(places)) == len(places)


def test_a_model_whose_state_no_checkpoint_can_hold_is_refused_at_once():
    class Counting(nn.Linear):
        def get_extra_state(self):
            return {"calls": 3}

        def set_extra_state(self, state):
            pass

    model = MultiTaskModel(Counting(4, 4), [Regression("a")])
    with pytest.raises(InputError, match=r"_extra_state in the state of the model, a dict; expec"):
        Trainer(model)
