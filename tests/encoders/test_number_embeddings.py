"""Embedded numbers, beside the formulas of the paper written out."""

import importlib.util
import math

import pytest
import torch
from torch.testing import assert_close

from motet import encoders
from motet.encoders.mlp import MLP
from motet.encoders.number_embeddings import NumberEmbedding
from motet.problems import InputError

BINS = ([0.0, 2.0, 4.0], 0.5, [0.5, 0.25, 0.1], [0.5, 2.0, 1.0])
FEWER = ([-1.0], 1.0, [0.5], [0.5])
ROWS = torch.tensor([[1.0, 9.0, -0.3], [-5.0, 8.0, 99.0]])


def built(kind, expansions, **options):
    torch.manual_seed(0)
    return NumberEmbedding(kind, **{"width": 4, **options}).build(expansions).double()


def spread(x, bins):
    """The bins of one number, by the definition of `motet.data.inputs.shapes.Expansion`."""
    if bins is None:
        return [x]
    starts, slope, means, stds = bins
    clipped = [min(max((x - start) * slope, 0.0), 1.0) for start in starts]
    return [(c - mean) / std for c, mean, std in zip(clipped, means, stds, strict=True)]


@pytest.mark.parametrize("kind", ["linear", "linear_relu"])
def test_each_number_has_a_linear_layer_of_its_own_on_its_bins(kind):
    expansions = [BINS, None, FEWER]
    embedding = built(kind, expansions)
    found = embedding(ROWS.double())
    assert found.shape == (2, 3, 4)
    for row, numbers in enumerate(ROWS.tolist()):
        for place, (x, bins) in enumerate(zip(numbers, expansions, strict=True)):
            weight, bias = embedding.linear.weight[place], embedding.linear.bias[place]
            value = sum(each * weight[t] for t, each in enumerate(spread(x, bins))) + bias
            assert_close(found[row, place], value.relu() if kind == "linear_relu" else value)


def test_periodic_is_a_linear_layer_and_relu_on_sines_and_cosines():
    embedding = built("periodic", [None] * 3, frequencies=5, scale=0.3)
    found = embedding(ROWS.double())
    for row, numbers in enumerate(ROWS.double()):
        for place, x in enumerate(numbers):
            angles = [2 * math.pi * c * x for c in embedding.frequencies[place]]
            waves = torch.stack([*map(torch.cos, angles), *map(torch.sin, angles)])
            layer = embedding.linear
            assert_close(
                found[row, place], (waves @ layer.weight[place] + layer.bias[place]).relu()
            )


@pytest.mark.skipif(
    importlib.util.find_spec("rtdl_num_embeddings") is None, reason="needs rtdl_num_embeddings"
)
def test_periodic_is_that_of_the_authors():
    from rtdl_num_embeddings import PeriodicEmbeddings

    ours = built("periodic", [None] * 3, frequencies=5, scale=0.3)
    theirs = PeriodicEmbeddings(3, 4, n_frequencies=5, frequency_init_scale=0.3, lite=False)
    theirs.double()
    theirs.periodic.weight.data = ours.frequencies.data
    theirs.linear.weight.data, theirs.linear.bias.data = (
        ours.linear.weight.data,
        ours.linear.bias.data,
    )
    assert_close(ours(ROWS.double()), theirs(ROWS.double()))


@pytest.mark.skipif(
    importlib.util.find_spec("rtdl_num_embeddings") is None, reason="needs rtdl_num_embeddings"
)
def test_bins_and_a_linear_layer_are_those_of_the_authors_but_for_standardised_bins():
    from rtdl_num_embeddings import PiecewiseLinearEmbeddings

    edges = [torch.tensor([0.0, 2.0, 4.0, 6.0]), torch.tensor([-1.0, 1.0, 3.0])]
    plain = [  # means 0 and deviations 1 leave the bins as they are
        ([0.0, 2.0, 4.0], 0.5, [0.0] * 3, [1.0] * 3),
        ([-1.0, 1.0], 0.5, [0.0] * 2, [1.0] * 2),
    ]
    ours = built("linear_relu", plain)
    theirs = PiecewiseLinearEmbeddings(edges, 4, activation=True, version="A").double()
    rows = torch.tensor([[1.0, 0.5], [3.0, -1.0], [6.0, 2.0]]).double()
    weight = torch.zeros_like(theirs.linear.weight)
    weight[0] = ours.linear.weight[0]
    weight[1, [0, -1]] = ours.linear.weight[1, :2]  # theirs are padded before the last bin
    theirs.linear.weight.data = weight
    if theirs.linear.bias is None:
        ours.linear.bias.data.zero_()
    else:
        theirs.linear.bias.data = ours.linear.bias.data
    found = ours(rows)
    assert_close(found[:, 0], theirs(rows)[:, 0])
    assert_close(found[:, 1], theirs(rows)[:, 1])


def test_first_frequencies_have_the_scale():
    embedding = built("periodic", [None] * 50, frequencies=100, scale=0.02)
    assert embedding.frequencies.std().item() == pytest.approx(0.02, rel=0.05)
    assert embedding.frequencies.abs().max() <= 0.06


def test_an_mlp_reads_embedded_numbers_side_by_side_before_its_categories():
    encoder = MLP(
        3, [4], [BINS, None, FEWER], hidden=[6], number_embedding="linear_relu", number_width=5
    )
    first = encoder.stages[0]
    assert first.width == 3 * 5 + 4
    rows = {"numbers": ROWS, "categories": torch.tensor([[1], [3]])}
    embedded = first.numbers[0](ROWS)
    expected = torch.cat([embedded.flatten(1), first.embeddings[0](torch.tensor([1, 3]))], dim=1)
    assert_close(first(rows), expected)
    assert encoder(rows).shape == (2, 6)


def test_embedded_numbers_learn_and_padding_stays_zero():
    encoder = MLP(2, expansions=[BINS, FEWER], hidden=[6], number_embedding="linear_relu")
    encoder(ROWS[:, [0, 2]]).square().sum().backward()
    gradient = encoder.stages[0].numbers[0].linear.weight.grad
    assert (gradient[0] != 0).any()
    assert (gradient[1, 1:] == 0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"number_width": 8}, "applies only with number_embedding: linear_relu or periodic"),
        (
            {"number_embedding": "linear_relu", "frequencies": 8},
            "applies only with number_embedding: periodic",
        ),
        ({"number_embedding": "periodical"}, "did you mean 'periodic'"),
        ({"number_embedding": "periodic", "frequency_scale": 0.0}, "expected a number > 0"),
    ],
)
def test_options_that_would_have_no_effect_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        encoders.create("mlp", 2, **options)
