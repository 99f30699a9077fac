"""Balancing at the representation: one pass through the shared part, and when that is refused."""

import pytest
import torch
from graphs import GRAPHS, Agreed, Shorter, assert_gradients, data, linear, make, squares
from torch import nn

from motet.balancing import Equal, backward
from motet.balancing.mgda import MGDA
from motet.balancing.pcgrad import PCGrad
from motet.problems import InputError

REFUSED = {
    "tied_weights": "tied weights",
    "wide_layers": "tied weights",
    "a_batch_for_each_task": "tied weights",
    "two_of_three_share_a_layer": "diverge at several depths",
    "nothing_in_common": "no shared parameter",
    "one_task": "no shared parameter",
}


def model(count=3):
    torch.manual_seed(0)
    encoder, heads = linear(3, 4), nn.ModuleList(linear(4, 1) for _ in range(count))
    z = encoder(data(5, 3)).tanh()
    return encoder, heads, z, squares([head(z) for head in heads])


def naive(losses, z, balancer, encoder, heads, *, weighted=False):
    """Weights from cotangents at one representation; then each loss's gradient, weighted."""
    rows = [torch.autograd.grad(loss, z, retain_graph=True)[0] for loss in losses.values()]
    jacobian = torch.stack([row.flatten() for row in rows])
    weights = balancer(jacobian @ jacobian.T, torch.stack(list(losses.values())).detach())
    total = sum(w * loss for w, loss in zip(weights, losses.values(), strict=True))
    shared = torch.autograd.grad(total, list(encoder.parameters()), retain_graph=True)
    plain = total if weighted else sum(losses.values())
    own = torch.autograd.grad(plain, list(heads.parameters()), retain_graph=True)
    return [*shared, *own]


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("heads", ["plain", "weighted"])
@pytest.mark.parametrize("kind", [MGDA, PCGrad, Shorter])
def test_gradients_are_those_of_losses_weighed_by_their_cotangents(kind, heads, given):
    encoder, own, z, losses = model()
    expected = naive(losses, z, kind(list("abc")), encoder, own, weighted=heads == "weighted")
    options = {"representation": z, "shared": encoder} if given else {}
    result = backward(losses, kind(list("abc")), at="representation", heads=heads, **options)
    assert_gradients([*encoder.parameters(), *own.parameters()], expected)
    assert result.path == "representation"


def test_a_hook_at_the_representation_acts_once():
    encoder, own, z, losses = model()
    z.register_hook(lambda gradient: 3 * gradient)
    expected = naive(losses, z, Shorter([*"abc"]), encoder, own)
    backward(losses, Shorter([*"abc"]), at="representation")
    assert_gradients([*encoder.parameters(), *own.parameters()], expected)


def test_a_jacobian_balancer_combines_the_cotangents():
    encoder, _, z, losses = model()
    rows = [torch.autograd.grad(loss, z, retain_graph=True)[0] for loss in losses.values()]
    direction = Agreed([*"abc"])(torch.stack([row.flatten() for row in rows]))
    expected = torch.autograd.grad(
        z, list(encoder.parameters()), direction.view_as(z), retain_graph=True
    )
    backward(losses, Agreed([*"abc"]), at="representation", representation=[z])
    assert_gradients(list(encoder.parameters()), expected)


@pytest.mark.parametrize("given", [True, False])
def test_with_orthonormal_inputs_it_is_mgda_on_the_weights(given):
    """A linear encoder, X Xᵀ = I, no bias (methods, section 3)."""
    torch.manual_seed(0)
    x = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64))[0][:4]
    found = []
    for options in ({"at": "representation"}, {}):
        encoder = linear(6, 5, bias=False)
        with torch.no_grad():
            encoder.weight.copy_(torch.arange(30).view(5, 6).sin())
        z = encoder(x)
        losses = squares([z.sin(), z.cos(), z.tanh()])
        if given and options:
            options = options | {"representation": z}
        result = backward(losses, MGDA(list("abc")), **options)
        found.append((encoder.weight.grad, result.gramian))
    torch.testing.assert_close(found[0], found[1])


class Ones(Shorter):
    def forward(self, gramian, losses, present):
        return torch.ones(len(gramian), dtype=torch.float64)


@pytest.mark.parametrize("graph", [name for name in GRAPHS if name not in REFUSED])
@pytest.mark.parametrize("heads", ["plain", "weighted"])
def test_with_weights_of_one_it_is_the_plain_sum_on_every_graph(graph, heads):
    losses, leaves = make(graph)
    sum(losses.values()).backward()
    expected = [leaf.grad for leaf in leaves]
    losses, leaves = make(graph)
    backward(losses, Ones(list(losses)), at="representation", heads=heads)
    assert_gradients(leaves, expected)


@pytest.mark.parametrize("graph", REFUSED)
def test_graphs_that_no_representation_parts_are_refused(graph):
    losses, leaves = make(graph)
    with pytest.raises(InputError, match=REFUSED[graph]):
        backward(losses, Shorter([*"abcdefgh"]), at="representation")
    assert all(leaf.grad is None for leaf in leaves)


def test_a_way_around_the_representation_is_refused():
    encoder = nn.ModuleList([linear(3, 4), linear(4, 4)])
    y = encoder[0](data(5, 3)).tanh()
    z = encoder[1](y)
    losses = squares([z, z + y])
    with pytest.raises(InputError, match="reached around it"):
        backward(losses, Shorter([*"ab"]), at="representation", representation=z)


def test_representations_of_several_tasks_may_differ():
    losses, leaves = make("experts_and_gates")
    backward(losses, Shorter([*"ab"]), at="representation")
    assert all(leaf.grad is not None for leaf in leaves)


def test_parameters_behind_the_representation_that_are_not_listed_get_the_plain_sum():
    encoder = nn.ModuleList([linear(3, 4), linear(4, 4)])
    z = encoder[1](encoder[0](data(5, 3)).tanh())
    losses = squares([z.sin(), z.cos()])
    expected = torch.autograd.grad(
        sum(losses.values()), list(encoder[0].parameters()), retain_graph=True
    )
    backward(losses, Shorter([*"ab"]), shared=encoder[1], at="representation", representation=z)
    assert_gradients(list(encoder[0].parameters()), expected)


def test_a_head_of_all_tasks_before_the_representation_gets_the_plain_sum():
    encoder, head = linear(3, 4), linear(4, 3)
    z = encoder(data(5, 3)).tanh()
    losses = squares(head(z).unbind(1))
    expected = torch.autograd.grad(sum(losses.values()), list(head.parameters()), retain_graph=True)
    backward(losses, Shorter([*"abc"]), at="representation", representation=z)
    assert_gradients(list(head.parameters()), expected)


def test_tasks_with_representations_of_their_own_pairs_are_balanced_in_pairs():
    losses, _ = make("two_pairs")
    result = backward(losses, Shorter([*"abcd"]), at="representation")
    assert result.components == (("a", "c"), ("b", "d"))


def test_wrong_representations_are_clear_errors():
    encoder, heads, z, losses = model()
    balancer = Shorter([*"abc"])
    other = encoder(data(5, 3))

    def at(**options):
        backward(losses, balancer, at="representation", **options)

    with pytest.raises(InputError, match="not detached"):
        at(representation=z.detach())
    with pytest.raises(InputError, match="no loss reaches a tensor in `representation`"):
        at(representation=[z, other])
    with pytest.raises(InputError, match="after the representation"):
        at(representation=z, shared=heads)
    with pytest.raises(InputError, match="no shared parameter lies behind"):
        at(representation=z, shared=linear(2, 2))
    with pytest.raises(InputError, match="reads only losses"):
        backward(losses, Equal([*"abc"]), at="representation")
    with pytest.raises(InputError, match="read only with at="):
        backward(losses, balancer, representation=z)
    assert all(leaf.grad is None for leaf in [*encoder.parameters(), *heads.parameters()])
