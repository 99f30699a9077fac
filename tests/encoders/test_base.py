"""A frozen encoder learns nothing and, if asked, computes as in evaluation, whoever trains."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

from motet.encoders import MLP, Encoder, Joined
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.registry import ENCODERS
from motet.sharing import create as create_sharing
from motet.tasks import Classification, Regression
from motet.training import Trainer

X = np.random.default_rng(0).normal(size=(48, 4)).astype(np.float32)
DATA = (X, {"a": (X[:, 0] > 0).astype(np.int64), "b": X[:, 1]})
ROWS = torch.from_numpy(X)


class Own(Encoder):
    """An encoder of a user: dropout and BatchNorm around a layer."""

    def __init__(self, width=6):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, width), nn.BatchNorm1d(width), nn.Dropout(0.5))
        self.width = width

    def forward(self, inputs):
        return self.layers(inputs)


def made(encoder, **options):
    torch.manual_seed(0)
    return MultiTaskModel(encoder, [Classification("a", classes=2), Regression("b")], **options)


def trainer(model, **options):
    return Trainer(model, batch_size=16, patience=None, **options)


def modes(module):
    return {each.training for each in module.modules()}


@pytest.mark.parametrize("name", ENCODERS)
def test_every_encoder_can_be_frozen(name):
    assert issubclass(ENCODERS[name], Encoder)
    assert issubclass(Joined, Encoder)


@pytest.mark.parametrize("encoder", [Own(), MLP(4, hidden=(6,))], ids=["own", "mlp"])
def test_a_frozen_encoder_learns_nothing_and_the_records_say_so(encoder):
    encoder.freeze()
    assert encoder.frozen
    before = {name: p.detach().clone() for name, p in encoder.named_parameters()}
    model = made(encoder)
    assert len(model.frozen) == len(before)
    fitted = trainer(model)
    heads = [p.detach().clone() for p in model.heads.parameters()]
    history = fitted.fit(DATA, epochs=2)
    assert all(torch.equal(p, before[name]) for name, p in encoder.named_parameters())
    assert not any(map(torch.equal, heads, model.heads.parameters()))
    told = [record["trained"] for record in history]
    own = sum(p.numel() for p in model.heads.parameters())
    assert [each["parameters"] for each in told] == [own, own]
    assert not any(part.startswith("sharing") for part in told[0]["parts"])


def test_a_model_thaws_what_an_encoder_froze_and_the_other_way_round():
    encoder = Own()
    model = made(encoder)
    encoder.freeze(evaluation=True)
    assert model.frozen == model.held == tuple(n for n, _ in model.named_parameters() if "sh" in n)
    model.unfreeze("encoder")
    assert not encoder.frozen
    assert model.held == ()
    assert modes(encoder) == {True}
    model.freeze("encoder", evaluation=True)
    assert encoder.frozen
    assert modes(encoder) == {False}
    encoder.unfreeze()
    assert model.frozen == ()
    assert modes(encoder) == modes(model.train()) == {True}
    before = encoder.layers[0].weight.detach().clone()
    trainer(model).fit(DATA, epochs=1)
    assert not torch.equal(before, encoder.layers[0].weight)


def test_an_encoder_of_which_a_part_is_trained_is_not_frozen():
    encoder = Own()
    model = made(encoder)
    encoder.freeze(evaluation=True)
    model.unfreeze("*.layers.1")
    assert not encoder.frozen
    assert encoder.layers[1].training
    assert not encoder.layers[0].training


def test_a_module_is_held_once_all_of_it_is_and_no_longer_when_some_was_thawed_by_hand():
    encoder = Own()
    model = made(encoder)
    model.freeze("*.weight", evaluation=True)
    assert encoder.layers[1].training
    model.freeze("*.bias", evaluation=True)
    assert modes(encoder) == {False}
    for parameter in encoder.parameters():
        parameter.requires_grad_(True)
    model.train()
    assert modes(encoder) == {True}


def test_evaluation_holds_dropout_and_the_averages_of_batchnorm_whatever_is_around():
    encoder = Own()
    whole = nn.Sequential(encoder, nn.Linear(6, 1))
    encoder.freeze(evaluation=True)
    for each in (whole, deepcopy(whole)):
        each.train()
        assert torch.equal(each(ROWS), each(ROWS))
        assert not each[0].layers[1].running_mean.any()
        assert each[1].training
    encoder.freeze()
    whole.train()
    assert not torch.equal(whole(ROWS), whole(ROWS))
    assert encoder.layers[1].running_mean.any()


def test_a_trainer_keeps_a_held_encoder_as_in_evaluation():
    held, free = Own(), Own()
    held.freeze(evaluation=True)
    free.freeze()
    for encoder in (held, free):
        trainer(made(encoder)).fit(DATA, DATA, epochs=1)
    assert not held.layers[1].running_mean.any()
    assert free.layers[1].running_mean.any()


@pytest.mark.parametrize("training", [True, False])
def test_an_encoder_that_is_trained_again_goes_back_to_the_mode_around_it(training):
    encoder = Own()
    whole = nn.Sequential(encoder, nn.Linear(6, 1)).train(training)
    encoder.freeze(evaluation=True)
    assert modes(encoder) == {False}
    encoder.unfreeze()
    assert modes(whole) == {training}


def test_a_frozen_encoder_stays_frozen_where_it_is_cut_into_stages():
    encoder = MLP(4, hidden=(6, 6), dropout=0.5)
    encoder.freeze(evaluation=True)
    model = made(encoder, sharing=create_sharing("hard", task_layers=1)).train()
    shared = model.sharing.stages
    assert encoder not in set(model.modules())
    assert modes(shared) == {False}
    assert len(model.frozen) > len(list(shared.parameters()))


def test_parameters_that_two_encoders_have_in_common_are_held_by_either():
    one, other = Own(), Own()
    other.layers[0] = one.layers[0]
    other.freeze(evaluation=True)
    whole = nn.ModuleList([one, other]).train()
    assert not one.layers[0].training
    assert one.layers[1].training
    assert not one.frozen
    other.freeze()
    assert modes(whole.train()) == {True}


def test_nothing_to_freeze_and_nothing_to_train_are_told():
    class Bare(Encoder):
        width = 4

        def forward(self, inputs):
            return inputs

    with pytest.raises(InputError, match="Bare has no parameter"):
        Bare().freeze()
    assert not Bare().frozen
    model = made(Own())
    model.freeze("*")
    with pytest.raises(InputError, match=r"every parameter of the model is frozen"):
        trainer(model).fit(DATA, epochs=1)
