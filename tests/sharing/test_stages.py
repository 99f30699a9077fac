"""A backbone in stages: cut where its kind says, copied with weights of its own."""

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from motet.encoders import MLP
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.sharing import Features, Stages, create
from motet.tasks import Regression

X = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))


class Block(nn.Module):
    """A user's module that nothing can look into."""

    def __init__(self, before=4, after=3):
        super().__init__()
        self.layer = nn.Linear(before, after)

    def forward(self, inputs):
        return self.layer(inputs).relu()


class Listed(nn.Module):
    """A user's module that lists its stages."""

    def __init__(self):
        super().__init__()
        self.stages = nn.ModuleList([Block(4, 6), Block(6, 3)])

    def forward(self, inputs):
        return self.stages[1](self.stages[0](inputs))


class Stem(Listed):
    """One that has more than its stages."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(4, 4)


class Scale(nn.Module):
    """A module that has parameters and does not say how they begin."""

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(3))

    def forward(self, inputs):
        return inputs * self.factor


def plain():
    return nn.Sequential(
        nn.Dropout(0.0),
        nn.Linear(4, 6),
        nn.BatchNorm1d(6),
        nn.ReLU(),
        nn.Linear(6, 3),
        nn.LayerNorm(3),
        nn.Tanh(),
    )


@pytest.mark.parametrize(
    ("backbone", "found"),
    [
        (plain(), ["Dropout+Linear+BatchNorm1d+ReLU", "Linear+LayerNorm+Tanh"]),
        (Listed(), ["Block", "Block"]),
        (Stem(), ["Stem"]),
        (Block(), ["Block"]),
        ([nn.Linear(4, 6), nn.ReLU(), Block(6)], ["Linear", "ReLU", "Block"]),
        (nn.ModuleList([nn.Linear(4, 6), Block(6)]), ["Linear", "Block"]),
        (plain, ["Dropout+Linear+BatchNorm1d+ReLU", "Linear+LayerNorm+Tanh"]),
        (lambda: [Block(4, 4), Block()], ["Block", "Block"]),
        (MLP(4, hidden=[8, 3]), ["Row", "Linear+ReLU+Dropout", "Linear+ReLU+Dropout"]),
    ],
)
def test_a_backbone_is_cut_where_its_kind_says(backbone, found):
    assert str(Stages.of(backbone)) == ", ".join(found)


@pytest.mark.parametrize("backbone", [plain(), Listed(), MLP(4, hidden=[8, 3], dropout=0.0)])
def test_calling_the_stages_in_turn_is_calling_the_backbone(backbone):
    assert_close(Stages.of(backbone.eval()).chain()(X), backbone(X))


@pytest.mark.parametrize("backbone", [3, "mlp", [], [nn.Linear(4, 3), "relu"], lambda: 3])
def test_what_is_no_backbone_is_refused_with_what_would_be_one(backbone):
    with pytest.raises(InputError, match=r"give for the encoder an nn\.Sequential, a list"):
        Stages.of(backbone)


def test_too_few_stages_are_told_with_what_was_found_and_what_is_needed():
    asked = (2, "experts are made after the first stage", "give expert_width")
    with pytest.raises(
        InputError, match=r"so the encoder must have at least 2 stages; found 1 .*; give expert_"
    ):
        Stages.of(Block()).require(*asked)
    Stages.of(Listed()).require(*asked)


# Copies --------------------------------------------------------------------------------------


@pytest.mark.parametrize("backbone", [plain, Listed, lambda: plain()])
def test_copies_have_first_weights_of_their_own_and_the_seed_decides_them(backbone):
    drawn = []
    for _ in range(2):
        torch.manual_seed(0)
        first, second = Stages.of(backbone()).copies(2)
        weights = [next(part[0].parameters()) for part in (first, second)]
        assert not torch.equal(*weights)
        drawn.append(weights[1])
    assert torch.equal(*drawn)


def test_a_function_is_called_again_for_each_copy():
    calls = []

    def build():
        calls.append(1)
        return [Block(4, 6), Scale()]

    first, second, third = Stages.of(build)[1:].copies(3)
    assert len(calls) == 3
    assert len({id(part[0]) for part in (first, second, third)}) == 3


def test_a_part_that_cannot_begin_anew_is_told_with_what_is_needed():
    stages = Stages.of([Block(), Scale()])
    with pytest.raises(InputError, match=r"Scale has parameters \(factor\) and no .*`reset_par"):
        stages.fresh()


def test_a_frozen_part_keeps_its_weights_in_copies():
    stages = Stages.of([Block(4, 3), Scale()])
    stages[1].requires_grad_(False).factor.fill_(7.0)
    assert stages.fresh()[1].factor.tolist() == [7.0] * 3


def test_parts_with_parameters_of_every_kind_begin_anew():
    layer = nn.TransformerEncoderLayer(6, 2, 12, batch_first=True)
    stages = Stages.of([nn.LSTM(4, 6), layer, MLP(2, [5])])
    copy = stages.fresh()
    for one, other in zip(stages, copy, strict=True):
        names = [name for name, p in one.named_parameters() if p.dim() > 1]
        assert names
        for name in names:
            assert not one.get_parameter(name).equal(other.get_parameter(name)), name
    assert not copy[2].stages[0].embeddings[0].weight[0].any()


# Widths --------------------------------------------------------------------------------------


def test_widths_between_stages_are_read_from_the_layers():
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 8, 3), nn.Flatten(), nn.Linear(32, 5), Block(5)
    )
    stages = Stages.of(network)
    found = [stages.features(place) for place in range(4)]
    assert found == [Features(4, channels_first=True), Features(32), Features(5), Features(3)]
    assert stages.last == Features(3)


def test_a_width_that_no_layer_tells_is_asked_for():
    stages = Stages.of([nn.Identity(), nn.Tanh()])
    with pytest.raises(InputError, match=r"of Identity cannot be read .*give it an attribute `wid"):
        stages.features(0)
    with pytest.raises(InputError, match=r"give it with MultiTaskModel\(\.\.\., width=\)"):
        MultiTaskModel([nn.Identity(), nn.Tanh()], [Regression("a")])


def test_states_are_pooled_over_all_but_rows_and_features():
    state = torch.arange(24.0).reshape(2, 3, 4)
    assert_close(Features(4).pooled(state), state.mean(1))
    assert_close(Features(3, channels_first=True).pooled(state), state.mean(2))
    with pytest.raises(InputError, match=r"gave \(2, 3, 4\), expected 5 features along axis -1"):
        Features(5).pooled(state)


# Models --------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoder", [Block(), plain(), plain, [Block(4, 6), Block(6)], Listed])
def test_a_model_takes_any_backbone(encoder):
    model = MultiTaskModel(encoder, [Regression("a"), Regression("b")])
    assert model.sharing.width == 3
    assert model(X)["a"].shape == (5,)


def test_a_model_without_numbers_of_layers_calls_the_module_itself():
    network = plain()
    assert MultiTaskModel(network, [Regression("a")]).sharing.stages[0] is network


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([["a"], ["d"]], "groups: found 'd', which is not a task"),
        ([["a", "b"], ["b"]], "groups: found task 'b' twice"),
        ([["a"]], "groups: found no group with b, expected each task in one group"),
        ([["a", "b"], []], "a group without tasks"),
    ],
)
def test_groups_that_do_not_fit_the_tasks_are_refused(groups, message):
    with pytest.raises(InputError, match=message):
        create("hard", groups=groups).build(Stages.of(plain()), ["a", "b"], 3)


def test_task_embeddings_scale_and_shift_every_feature():
    torch.manual_seed(0)
    stages = Stages.of(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3)))
    module = create("hard", task_embedding=2).build(stages, ["a"], 3)
    first, second = module.inner.stages
    with torch.no_grad():
        first.map.bias.copy_(torch.arange(16.0))
        second.map.bias.copy_(torch.arange(6.0))
    images = torch.randn(5, 1, 4, 4)
    scale, shift = torch.arange(16.0).chunk(2)
    middle = stages[0](images) * (1 + scale) + shift
    expected = stages[1](middle) * torch.tensor([1.0, 2.0, 3.0]) + torch.tensor([3.0, 4.0, 5.0])
    assert_close(module(images, ["a"])["a"], expected)


def test_a_model_with_task_embeddings_holds_no_graph_after_a_pass_and_can_be_copied():
    model = MultiTaskModel(plain(), [Regression("a")], sharing=create("hard", task_embedding=2))
    raw = model(X)["a"]
    assert raw.requires_grad
    assert_close(deepcopy(model).eval()(X), model.eval()(X))
