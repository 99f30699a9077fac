"""An ensemble of MLPs that share weights: against a naive one, an MLP, and the authors' package."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from motet.encoders.ensemble import Ensemble, MemberRows
from motet.encoders.mlp import MLP
from motet.problems import InputError

ROWS = {
    "numbers": torch.tensor([[0.5, -1.0], [2.0, 3.0], [-0.3, 0.1]]),
    "categories": torch.tensor([[1, 0, 2], [3, 1, 0], [2, 1, 1]]),
}
BINS = ([0.0, 1.0], 1.0, [0.5, 0.5], [0.3, 0.3])
K = 3


def made(kind=Ensemble, expansions=(None, BINS), **options):
    torch.manual_seed(0)
    return kind(2, [4, 2, 3], expansions, **{"hidden": [5, 7], "dropout": 0.0, **options})


def drawn(encoder):
    """Give the scalings and biases of every member numbers of their own."""
    for parameter in encoder.parameters():
        nn.init.normal_(parameter)
    return encoder


def of_member(encoder, member):
    """Compute one member by itself."""
    first, *layers = encoder.stages
    state = first.row(ROWS) * first.scaling[member]
    for linear, activation, _ in layers:
        if isinstance(linear, nn.Linear):
            state = activation(linear(state))
            continue
        if linear.inputs is not None:
            state = state * linear.inputs[member]
        state = (state @ linear.weight.T) * linear.outputs[member] + linear.bias[member]
        state = activation(state)
    return state


@pytest.mark.parametrize("scalings", ["all", "first"])
def test_members_of_a_row_follow_each_other_and_each_is_an_mlp_with_its_own_scalings(scalings):
    encoder = drawn(made(members=K, scalings=scalings))
    found = encoder(ROWS)
    assert found.shape == (3 * K, 7)
    for member in range(K):
        assert_close(found[member::K], of_member(encoder, member))


def test_one_member_is_exactly_an_mlp():
    ensemble, mlp = made(members=1), made(MLP)
    assert ensemble.gives == "rows"
    assert ensemble.state_dict().keys() == mlp.state_dict().keys()
    assert torch.equal(ensemble(ROWS), mlp(ROWS))


def test_all_numbers_of_a_column_begin_with_one_sign_and_members_differ():
    torch.manual_seed(0)
    encoder = Ensemble(2, [4], (BINS, None), members=64, hidden=[5])
    scaling = encoder.stages[0].scaling
    assert set(scaling.flatten().tolist()) == {-1.0, 1.0}
    plain, first_bin, second_bin, *embedding = scaling.T  # plain numbers come first
    assert torch.equal(first_bin, second_bin)
    assert all(torch.equal(each, embedding[0]) for each in embedding)
    assert not torch.equal(plain, first_bin)
    assert not torch.equal(plain, embedding[0])
    assert 16 < (plain > 0).sum() < 48


def test_members_begin_with_the_same_layers():
    encoder = made(members=K)
    for stage in list(encoder.stages)[1:]:
        assert torch.equal(stage[0].bias, stage[0].bias[:1].expand(K, -1))
        assert bool((stage[0].outputs == 1).all())
    assert encoder.stages[1][0].inputs is None  # the row is scaled already
    assert bool((encoder.stages[2][0].inputs == 1).all())


def test_dropout_is_drawn_for_every_member():
    encoder = made(members=2, scalings="first", dropout=0.5, hidden=[64])
    with torch.no_grad():
        encoder.stages[0].scaling.fill_(1)
    first, second = encoder(ROWS)[0::2], encoder(ROWS)[1::2]
    assert not torch.equal(first == 0, second == 0)
    assert torch.equal(encoder.eval()(ROWS)[0::2], encoder(ROWS)[1::2])


def test_scalings_begin_anew_in_a_copy():
    encoder = made(members=8)
    rows = encoder.stages[0]
    assert isinstance(rows, MemberRows)
    before = rows.scaling.clone()
    rows.reset_parameters()
    assert not torch.equal(rows.scaling, before)


@pytest.mark.parametrize("option", [{"members": 0}, {"scalings": "last"}])
def test_a_wrong_option_is_named(option):
    with pytest.raises(InputError, match=next(iter(option))):
        made(**option)


@pytest.mark.parametrize("scalings", ["all", "first"])
def test_it_computes_what_the_package_of_the_authors_does(scalings):
    tabm = pytest.importorskip("tabm")
    encoder = drawn(made(members=K, scalings=scalings, expansions=(None, None)))
    first, *layers = encoder.stages
    theirs = tabm.make_tabm_backbone(
        d_in=first.width,
        n_blocks=2,
        d_block=5,
        dropout=0.0,
        k=K,
        arch_type="tabm" if scalings == "all" else "tabm-mini",
        start_scaling_init="random-signs",
        start_scaling_init_chunks=[1] * first.width,
    )
    weights = {"affine.weight": first.scaling} if scalings == "first" else {}
    for number, (linear, *_) in enumerate(layers):
        own = {"weight": linear.weight, "bias": linear.bias}
        if scalings == "all":
            own |= {"r": first.scaling if number == 0 else linear.inputs, "s": linear.outputs}
        weights |= {f"blocks.{number}.0.{name}": each for name, each in own.items()}
    found = encoder(ROWS).view(3, K, -1)
    rows = first.row(ROWS).unsqueeze(1).expand(-1, K, -1)
    assert_close(torch.func.functional_call(theirs, weights, rows), found)
