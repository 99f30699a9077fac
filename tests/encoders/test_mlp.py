"""The table MLP: embeddings, bins, layers."""

import math

import pytest
import torch
from torch.testing import assert_close

from motet import encoders
from motet.encoders.mlp import MLP
from motet.encoders.rows import embedding_width
from motet.problems import InputError

ROWS = {
    "numbers": torch.tensor([[0.5, -1.0], [2.0, 3.0]]),
    "categories": torch.tensor([[1, 0, 2], [3, 1, 0]]),
}


def plain(**options):
    torch.manual_seed(0)
    return MLP(2, [4, 2, 3], **{"hidden": [5, 7], "dropout": 0.0, **options})


def test_a_row_is_its_numbers_and_embeddings_side_by_side():
    encoder = plain()
    tables = [embedding.weight for embedding in encoder.stages[0].embeddings]
    picked = [table[column] for table, column in zip(tables, ROWS["categories"].T, strict=True)]
    expected = torch.cat([ROWS["numbers"], *picked], dim=1)
    assert_close(encoder.stages[0](ROWS), expected)
    assert encoder.stages[0].width == expected.shape[1]


def test_layers_are_linear_then_activation():
    encoder = plain()
    state = encoder.stages[0](ROWS)
    for stage in list(encoder.stages)[1:]:
        state = (state @ stage[0].weight.T + stage[0].bias).clamp(min=0)
    assert_close(encoder(ROWS), state)
    assert encoder.width == state.shape[1] == 7


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("tanh", math.tanh),
        ("silu", lambda x: x / (1 + math.exp(-x))),
        ("gelu", lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2),
        ("relu", lambda x: max(x, 0)),
    ],
)
def test_the_activation_is_the_one_named(name, function):
    encoder = MLP(1, hidden=[1], activation=name, dropout=0.0)
    linear = encoder.stages[1][0]
    torch.nn.init.ones_(linear.weight)
    torch.nn.init.zeros_(linear.bias)
    for x in (-1.5, 0.7):
        assert encoder({"numbers": torch.tensor([[x]])}).item() == pytest.approx(
            function(x), abs=1e-6
        )


@pytest.mark.parametrize(
    ("numbers", "categories", "inputs"),
    [
        (2, [], {"numbers": ROWS["numbers"]}),
        (0, [4, 2, 3], {"categories": ROWS["categories"]}),
        (2, [4, 2, 3], ROWS),
    ],
)
def test_numbers_or_categories_may_be_left_out(numbers, categories, inputs):
    encoder = MLP(numbers, categories, hidden=[6])
    assert encoder(inputs).shape == (2, 6)


def test_an_unknown_value_says_nothing_until_it_was_trained():
    encoder = plain()
    for embedding in encoder.stages[0].embeddings:
        assert (embedding.weight[0] == 0).all()
        assert (embedding.weight[1:] != 0).all()
    encoder(ROWS).sum().backward()
    assert (encoder.stages[0].embeddings[2].weight.grad[0] != 0).any()  # it can learn


@pytest.mark.parametrize(
    ("size", "width"),
    # min(50, ceil(1.6 n^0.56)) by hand
    [(2, 3), (3, 3), (16, 8), (42, 13), (100, 22), (468, 50), (10_000, 50)],
)
def test_embedding_widths_are_those_of_the_rule(size, width):
    assert embedding_width(size) == width
    assert MLP(0, [size], hidden=[1]).stages[0].embeddings[0].weight.shape == (size, width)


def test_dropout_acts_in_training_alone():
    encoder = plain(dropout=0.5)
    assert not torch.equal(encoder(ROWS), encoder(ROWS))
    encoder.eval()
    assert torch.equal(encoder(ROWS), encoder(ROWS))


def test_numbers_are_spread_over_their_bins_and_the_others_come_first():
    # 1 -> bins [0, 2], [2, 4] of slope 1/2; means and deviations by hand
    bins = ([0.0, 2.0], 0.5, [0.5, 0.25], [0.5, 2.0])
    encoder = MLP(3, expansions=[bins, None, bins], hidden=[1])
    rows = torch.tensor([[1.0, 9.0, 3.0], [-5.0, 8.0, 99.0]])
    expected = [
        [9.0, 0.0, -0.125, 1.0, 0.125],
        [8.0, -1.0, -0.125, 1.0, 0.375],
    ]
    assert_close(encoder.stages[0]({"numbers": rows}), torch.tensor(expected))
    assert encoder.stages[0].width == 5


def test_bins_come_with_the_preprocessing_and_not_with_the_weights():
    bins = ([0.0, 2.0], 0.5, [0.5, 0.25], [0.5, 2.0])
    names = list(MLP(1, expansions=[bins], hidden=[1]).state_dict())
    assert names == ["stages.1.0.weight", "stages.1.0.bias"]


def test_an_encoder_is_made_by_name():
    encoder = encoders.create("mlp", 2, [4], hidden=[3])
    assert isinstance(encoder, MLP)
    assert encoder.width == 3
    assert "mlp" in encoders.available()
    with pytest.raises(InputError, match="did you mean 'mlp'"):
        encoders.create("mpl", 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hiden": [3]}, "did you mean 'hidden'"),
        ({"hidden": [0]}, "found 0, expected a number > 0"),
        ({"dropout": 1.0}, "found 1.0, expected a number < 1"),
        ({"activation": "rulu"}, "did you mean 'relu'"),
    ],
)
def test_wrong_options_are_explained(options, message):
    with pytest.raises(InputError, match=message):
        encoders.create("mlp", 2, **options)
