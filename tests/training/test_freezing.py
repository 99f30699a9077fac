"""What is frozen stays, what is unfrozen joins at its epoch, each part at its learning rate."""

import json

import numpy as np
import pytest
import quick_cases
import torch
from quick_cases import others_slow
from torch import nn
from torch.testing import assert_close

from motet.encoders import MLP
from motet.encoders.lstm import LSTM
from motet.encoders.transformer import Transformer
from motet.model import MultiTaskModel
from motet.model.layers import layers_of
from motet.model.parts import find, summarised
from motet.problems import InputError
from motet.registry import BALANCERS
from motet.sharing import create as create_sharing
from motet.tasks import Classification, Regression
from motet.training import Trainer
from motet.training.freezing import trained_parts

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 5)).astype(np.float32)
DATA = (X, {"a": (X[:, 0] > 0).astype(np.int64), "b": X[:, 1]})
ENCODER = "sharing.stages.0"


def made(layers=3, dropout=0.0, norm=False):
    """A chain of layers 0, 2, 4, ... of one encoder, and two heads."""
    torch.manual_seed(0)
    parts = []
    for place in range(layers):
        parts += [nn.Linear(5 if place == 0 else 8, 8), nn.Tanh()]
    parts += [nn.Dropout(dropout)] if dropout else []
    parts += [nn.BatchNorm1d(8)] if norm else []
    return MultiTaskModel(nn.Sequential(*parts), [Classification("a", classes=2), Regression("b")])


def trainer(model=None, balancer="equal", **options):
    return Trainer(model or made(), balancer, batch_size=16, patience=None, **options)


def trained(model):
    return {name for name, p in model.named_parameters() if p.requires_grad}


def moved(model, before):
    return {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}


def copied(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


# Names -----------------------------------------------------------------------------------------


def test_parts_are_found_by_kind_name_module_and_pattern():
    model = made()
    shared = {f"{ENCODER}.{place}.{kind}" for place in (0, 2, 4) for kind in ("weight", "bias")}
    assert set(find(model, ["encoder"])) == shared
    assert all(name.startswith("heads") for name in find(model, ["a"]))
    assert find(model, [f"{ENCODER}.2"]) == [f"{ENCODER}.2.weight", f"{ENCODER}.2.bias"]
    assert set(find(model, ["*.bias"])) == {n for n in trained(model) if n.endswith("bias")}
    assert find(model, ["encoder", f"{ENCODER}.0.weight"]) == find(model, ["encoder"])


def test_a_name_that_is_not_there_is_told_with_those_near():
    with pytest.raises(InputError, match=r"no part 'sharing.stages.0.9'; did you mean 'sharing"):
        find(made(), ["sharing.stages.0.9"])
    with pytest.raises(InputError, match="no encoder is pretrained"):
        find(made(), ["pretrained"])


def test_parts_are_told_by_modules_where_those_are_whole():
    model = made()
    names = [*find(model, ["a", f"{ENCODER}.2"]), f"{ENCODER}.4.bias"]
    found = summarised(model, names)
    assert found[:2] == [f"{ENCODER}.2", f"{ENCODER}.4.bias"]
    assert len(found) == 3
    assert set(find(model, found)) == set(names)


# Freezing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", others_slow(quick_cases.BALANCERS, [*BALANCERS]))
def test_heads_alone_learn_on_a_frozen_encoder_with_every_balancer(name):
    options = {"weights": {"a": 1.0, "b": 0.5}} if name == "manual" else {}
    model = made()
    fitted = trainer(model, {"type": name, **options}, freeze=["encoder"])
    before = copied(model)
    fitted.fit(DATA, DATA, epochs=2)
    assert moved(model, before) == {*find(model, ["a"]), *find(model, ["b"])}


def test_a_gradient_balancer_on_a_frozen_encoder_is_the_plain_sum():
    plain, balanced = (trainer(balancer=name, freeze=["encoder"]) for name in ("equal", "mgda"))
    for each in (plain, balanced):
        each.fit(DATA, epochs=2)
    for name, value in plain.model.state_dict().items():
        assert_close(balanced.model.state_dict()[name], value)


def test_frozen_modules_act_as_in_evaluation_unless_told():
    rows = torch.from_numpy(X)

    def outputs(frozen):
        model = made(dropout=0.5, norm=True)
        trainer(model, freeze=["encoder"], frozen=frozen).fit(DATA, epochs=1)
        model.train()
        norm = model.sharing.stages[0][-1]
        return model(rows)["b"], model(rows)["b"], norm.running_mean.abs().sum()

    one, other, mean = outputs("evaluation")
    assert torch.equal(one, other)
    assert mean == 0
    one, other, mean = outputs("training")
    assert not torch.equal(one, other)
    assert mean > 0


def test_parts_that_are_trained_keep_their_dropout_beside_frozen_ones():
    model = made(dropout=0.5)
    model.freeze(f"{ENCODER}.0", evaluation=True)
    model.train()
    assert model.sharing.stages[0][-1].training
    assert not model.sharing.stages[0][0].training
    model.unfreeze("encoder")
    assert all(module.training for module in model.modules())
    assert not any(module.training for module in model.eval().modules())


def test_freezing_that_would_do_nothing_or_leave_nothing_is_refused():
    with pytest.raises(InputError, match="leaves nothing to train"):
        trainer(freeze=["*"])
    with pytest.raises(InputError, match="unfreeze: has no effect without freeze"):
        trainer(unfreeze={"every": 1})
    with pytest.raises(InputError, match="frozen: has no effect without freeze"):
        trainer(frozen="training")
    late = trainer(freeze=["encoder"], unfreeze={"every": 4})
    with pytest.raises(InputError, match="begins with epoch 5, but there are 3 epochs"):
        late.fit(DATA, epochs=3)
    with pytest.raises(InputError, match="nothing of that is frozen"):
        trainer(freeze=["a"], unfreeze=[{"epoch": 2, "parts": ["encoder"]}])
    with pytest.raises(InputError, match="epoch"):
        trainer(freeze=["a"], unfreeze=[{"epoch": 1, "parts": ["a"]}])
    with pytest.raises(InputError, match="MoCo remembers a number for each shared parameter"):
        trainer(balancer="moco", freeze=["encoder"], unfreeze={"every": 1})


# Unfreezing ------------------------------------------------------------------------------------


def sets_by_epoch(fitted, epochs, data=DATA):
    """Names of the parameters that each epoch moved."""
    found = []
    for _ in range(epochs):
        before = copied(fitted.model)
        fitted.train_epoch(data)
        found.append(moved(fitted.model, before))
    return found


def test_layers_join_from_the_last_to_the_first_every_so_many_epochs():
    model = made(layers=4)
    fitted = trainer(model, freeze=["encoder"], unfreeze={"every": 2, "layers": 2})
    heads = {*find(model, ["a"]), *find(model, ["b"])}
    upper = {*find(model, [f"{ENCODER}.4", f"{ENCODER}.6"])}
    expected = [heads, heads, heads | upper, heads | upper, set(copied(model))]
    assert sets_by_epoch(fitted, 5) == expected


def test_named_parts_join_at_their_epochs():
    model = made()
    plan = [{"epoch": 2, "parts": [f"{ENCODER}.4"]}, {"epoch": 3, "parts": ["a", "*.bias"]}]
    fitted = trainer(model, freeze=["encoder", "a"], unfreeze=plan)
    first = {*find(model, ["b"])}
    second = first | {*find(model, [f"{ENCODER}.4"])}
    third = second | {*find(model, ["a", "*.bias"])}
    assert sets_by_epoch(fitted, 3) == [first, second, third]


def test_records_say_which_parts_were_trained_in_each_epoch():
    fitted = trainer(freeze=["encoder"], unfreeze={"every": 1})
    history = fitted.fit(DATA, DATA, epochs=4)
    told = [record["trained"] for record in history if record["split"] == "train"]
    assert [each["parameters"] for each in told] == [27, 27 + 72, 27 + 144, 27 + 144 + 48]
    assert f"{ENCODER}.4" not in told[0]["parts"]
    assert f"{ENCODER}.4" in told[1]["parts"]
    assert json.loads(json.dumps(told)) == told
    assert "trained" not in next(iter(trainer().fit(DATA, epochs=1)))


def test_a_parameter_that_joins_has_the_first_step_of_a_new_optimizer():
    model = made(layers=1)
    options = {"learning_rate": 1e-2, "lr_schedule": "constant"}
    fitted = trainer(model, freeze=["encoder"], unfreeze={"every": 1}, **options)
    fitted.train_epoch(DATA)
    state = fitted.optimizer.state
    weight = model.get_parameter(f"{ENCODER}.0.weight")
    assert weight not in state
    before = weight.detach().clone()
    fitted.freezing.begin(2)
    rows = {"inputs": torch.from_numpy(X), "targets": {"b": torch.from_numpy(X[:, 1])}}
    fitted.train_step(rows)
    assert state[weight]["step"] == 1
    change = (weight - before * (1 - 1e-2 * 1e-2)).abs()
    assert_close(change, torch.full_like(change, 1e-2), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "balancer",
    others_slow(["uncertainty", "gradnorm"], ["equal", "uncertainty", "pcgrad", "gradnorm"]),
)
@pytest.mark.parametrize("frozen", ["evaluation", "training"])
@pytest.mark.parametrize("stop", others_slow([4, 9], [1, 4, 6, 9]))
def test_a_run_resumed_inside_unfreezing_is_the_same_to_the_last_bit(balancer, stop, frozen):
    def fresh():
        model = made(dropout=0.3, norm=True)
        options = {"freeze": ["encoder"], "unfreeze": {"every": 1}, "frozen": frozen}
        return trainer(model, balancer, **options)

    whole = fresh()
    whole.fit(DATA, DATA, epochs=5)
    first, states = fresh(), []

    def stopping(kind):
        states.append(first.state())

    first.on_checkpoint = stopping
    step = first.train_step

    def counted(batch):
        result = step(batch)
        first.stop_requested = first.step == stop
        return result

    first.train_step = counted
    with pytest.raises(KeyboardInterrupt):
        first.fit(DATA, DATA, epochs=5)
    tensors, header = states[-1]
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    second = fresh()
    second.load_state(tensors, json.loads(json.dumps(header)))
    assert trained(second.model) == trained(first.model)
    second.fit(DATA, DATA, epochs=5)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(second.model.state_dict()[name], value), name


# Layers ----------------------------------------------------------------------------------------


def sizes(encoder, width=None):
    model = MultiTaskModel(encoder, [Regression("a"), Regression("b")], width)
    layers = layers_of(model.sharing.chain())
    assert {id(p) for layer in layers for p in layer} == {id(p) for p in encoder.parameters()}
    return [sum(p.numel() for p in layer) for layer in layers]


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.inside = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))


class Deep(nn.Module):
    """Embedding, blocks, norm: the embedding is a layer, the norm a part of the last block."""

    width = 4

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(10, 4)
        self.blocks = nn.ModuleList(Block() for _ in range(3))
        self.norm = nn.LayerNorm(4)


def test_layers_are_the_chain_of_blocks_of_an_encoder():
    assert sizes(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))) == [16, 10]
    assert sizes(MLP(3, (4,), hidden=(8, 6))) == [16, 64, 54]
    assert sizes(Deep()) == [40, 40, 40, 48]
    assert len(sizes(Transformer(20, width=8, heads=2, layers=3))) == 4
    assert len(sizes(LSTM(20, width=8, layers=3))) == 4
    assert sizes(Block(), 4) == [40]


def test_encoders_side_by_side_have_their_last_layers_in_common():
    class Both(nn.Module):
        width = 8

        def __init__(self):
            super().__init__()
            self.one, self.other = Deep(), nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4))

        def branches(self):
            return [self.one, self.other]

    assert sizes(Both()) == [40, 40, 40 + 16, 48 + 20]


def test_layers_cannot_be_counted_where_tasks_have_networks_of_their_own():
    encoder = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 4))
    tasks = [Regression("a"), Regression("b")]
    model = MultiTaskModel(encoder, tasks, sharing=create_sharing("cross_stitch"))
    with pytest.raises(InputError, match="only where all tasks share it as a whole"):
        trainer(model, layer_decay=0.5)


# Learning rates --------------------------------------------------------------------------------


def rates(model, fitted):
    names = {id(p): name for name, p in model.named_parameters()}
    return {
        names[id(p)]: group["lr"]
        for group in fitted.optimizer.param_groups
        for p in group["params"]
        if id(p) in names
    }


def test_layer_decay_lowers_the_rate_layer_by_layer_from_the_last():
    model = made()
    fitted = trainer(model, learning_rate=0.1, layer_decay=0.5)
    found = rates(model, fitted)
    assert [found[f"{ENCODER}.{place}.weight"] for place in (0, 2, 4)] == [0.0125, 0.025, 0.05]
    assert {found[name] for name in find(model, ["a", "b"])} == {0.1}
    assert fitted.fit(DATA, epochs=1).records[0]["learning_rate"] <= 0.1


def test_shared_parameters_may_have_a_rate_of_their_own():
    model = made()
    model.tasks["b"].learning_rate = 0.3
    found = rates(model, trainer(model, learning_rate=0.1, shared_learning_rate=0.01))
    assert {found[name] for name in find(model, ["encoder"])} == {0.01}
    assert {found[name] for name in find(model, ["a"])} == {0.1}
    assert {found[name] for name in find(model, ["b"])} == {0.3}


def test_a_part_that_was_trained_before_keeps_its_low_rate():
    model = made()
    model.sharing.stages[0][0].own_learning_rate = 2e-5
    found = rates(model, trainer(model, learning_rate=0.1, shared_learning_rate=0.01))
    assert found[f"{ENCODER}.0.weight"] == 2e-5
    assert found[f"{ENCODER}.2.weight"] == 0.01


def test_a_shared_rate_needs_something_shared():
    torch.manual_seed(0)
    alone = create_sharing("hard", groups=[["a"], ["b"]])
    model = MultiTaskModel(nn.Linear(5, 4), [Regression("a"), Regression("b")], sharing=alone)
    with pytest.raises(InputError, match="shared_learning_rate: has no effect"):
        trainer(model, shared_learning_rate=0.1)


@pytest.mark.parametrize("option", ["layer_decay", "shared_learning_rate"])
def test_a_rate_of_parts_that_are_frozen_for_good_is_refused(option):
    with pytest.raises(InputError, match=f"{option}: has no effect.*remove {option}, freeze less"):
        trainer(freeze=["encoder"], **{option: 0.5})
    later = [{"epoch": 2, "parts": [f"{ENCODER}.0"]}]
    trainer(freeze=["encoder"], unfreeze=later, **{option: 0.5})
    trainer(freeze=[f"{ENCODER}.0"], **{option: 0.5})


def test_a_shared_rate_is_not_for_what_was_trained_before():
    model = made()
    model.sharing.stages[0][0].own_learning_rate = 2e-5
    with pytest.raises(InputError, match="shared_learning_rate: has no effect"):
        trainer(model, freeze=[f"{ENCODER}.2", f"{ENCODER}.4"], shared_learning_rate=0.1)


def test_all_parts_are_counted_where_nothing_is_frozen():
    model = made()
    told = trained_parts(model)
    assert told["parameters"] == sum(p.numel() for p in model.parameters())
