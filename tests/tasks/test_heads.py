import pytest
import torch
from torch import nn

import motet
from motet.problems import InputError
from motet.tasks import Classification, CustomHead, MultiLabel, Regression, TaskHead
from motet.tasks.heads import ACTIVATIONS

X = torch.randn(5, 8)


def test_a_head_without_options_is_one_linear_layer():
    head = TaskHead(8, 3)
    assert [type(layer) for layer in head.layers] == [nn.Linear]
    assert head(X).shape == (5, 3)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_hidden_layers_have_the_activation_and_dropout_that_was_asked_for(name):
    head = TaskHead(8, 3, hidden=[16, 16], activation=name, dropout=0.5)
    block = [nn.Linear, ACTIVATIONS[name], nn.Dropout]
    assert [type(layer) for layer in head.layers] == [*block, *block, nn.Linear]
    assert head(X).shape == (5, 3)


def test_dropout_acts_on_the_features_where_there_is_no_hidden_layer():
    assert [type(layer) for layer in TaskHead(8, 3, dropout=0.5).layers] == [nn.Dropout, nn.Linear]


def test_an_activation_without_a_hidden_layer_is_refused():
    with pytest.raises(
        InputError, match="TaskHead: activation: found 'gelu' without a hidden layer"
    ):
        TaskHead(8, 3, activation="gelu")


def test_a_wrong_option_is_an_error_that_names_the_nearest():
    with pytest.raises(InputError, match="did you mean 'hidden'"):
        Classification("a", classes=2, head={"type": "mlp", "hiden": [3]}).make_head(8)


@pytest.mark.parametrize(
    ("task", "shape"),
    [
        (Classification("a", classes=3), (5, 3)),
        (Classification("a", classes=2), (5, 2)),
        (Regression("a"), (5,)),
        (Regression("a", outputs=3), (5, 3)),
        (MultiLabel("a", classes=1), (5, 1)),
        (MultiLabel("a", classes=3), (5, 3)),
    ],
)
def test_the_head_of_a_task_gives_the_shape_its_loss_takes(task, shape):
    head = task.make_head(8)
    assert head(X).shape == shape
    assert head(X[:1]).shape == (1, *shape[1:])


def test_options_reach_the_head():
    head = Classification("a", classes=3, head={"hidden": [4], "activation": "tanh"}).make_head(8)
    assert [type(layer) for layer in head.layers] == [nn.Linear, nn.Tanh, nn.Linear]


@pytest.mark.parametrize(
    "given",
    [
        nn.Linear(8, 1),
        CustomHead(nn.Linear(8, 1)),
        nn.Linear,
        lambda width: nn.Linear(width, 1),
        lambda width, outputs: nn.Linear(width, outputs),
        nn.Sequential(nn.Linear(8, 1), nn.Flatten(0)),
    ],
    ids=["module", "custom", "class", "of width", "of width and outputs", "flat"],
)
def test_any_module_or_maker_of_modules_can_be_a_head(given):
    head = Regression("a", head=given).make_head(8)
    assert head(X).shape == (5,)
    assert head(X[:1]).shape == (1,)


def test_a_given_module_is_used_as_it_is_and_does_not_become_part_of_the_task():
    module = nn.Linear(8, 2)
    task = Classification("a", classes=2, head=module)
    assert task.make_head(8).module is module
    assert list(task.parameters()) == []


def test_a_head_of_the_wrong_width_is_an_error_in_words():
    head = Classification("a", classes=3, head=nn.Linear(8, 2)).make_head(8)
    with pytest.raises(InputError, match=r"Linear gave the shape \(5, 2\), expected 3 outputs"):
        head(X)


def test_a_maker_that_makes_no_module_is_an_error_in_words():
    with pytest.raises(InputError, match=r"made int, expected an nn\.Module"):
        Regression("a", head=lambda width: 3).make_head(8)


def test_a_registered_head_is_used_by_name_with_its_options():
    class Scaled(nn.Module):
        def __init__(self, width: int, outputs: int, *, scale: float = 1.0):
            super().__init__()
            self.linear, self.scale = nn.Linear(width, outputs), scale

        def forward(self, x):
            return self.linear(x) * self.scale

    motet.register("head", "scaled", Scaled)
    head = Classification("a", classes=3, head={"type": "scaled", "scale": 0.0}).make_head(8)
    assert head(X).tolist() == torch.zeros(5, 3).tolist()


def test_a_task_that_does_not_know_its_classes_says_how_to_tell_it():
    with pytest.raises(InputError, match="give classes, as a number or as names"):
        Classification("a").make_head(8)


@pytest.mark.parametrize("head", [nn.Linear(5, 1), nn.Sequential(nn.Linear(8, 4), nn.Linear(3, 1))])
def test_a_head_of_the_wrong_width_is_explained(head):
    task = Regression("a", head=head)
    with pytest.raises(InputError, match=r"given features of shape \(2, 8\).*takes [53] but got"):
        task.make_head(8)(torch.zeros(2, 8))
