"""The gradient of every parameter, against one computed task by task and leaf by leaf."""

import graphs
import pytest
import torch
from graphs import GRAPHS, Agreed, Shorter, Worst, assert_gradients, make, naive
from quick_cases import others_slow

from motet.balancing import AlignedMTL, Equal, Uncertainty, backward
from motet.balancing.mgda import MGDA
from motet.balancing.pcgrad import PCGrad
from motet.balancing.upgrad import UPGrad
from motet.problems import InputError

GRADIENT = (PCGrad, MGDA, UPGrad, Shorter, Agreed)
EXACT = {"rtol": 1e-8, "atol": 1e-10}


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("kind", [*GRADIENT, Equal, Uncertainty, Worst])
def test_every_gradient_is_the_naive_one(graph, kind):
    losses, leaves = make(graph)
    balancer = kind(list(losses))
    expected = naive(losses, leaves, balancer, weighted=kind in (Equal, Uncertainty, Worst))
    backward(losses, balancer)
    assert_gradients(leaves, expected, **EXACT)


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("kind", others_slow([PCGrad, Shorter], [PCGrad, MGDA, UPGrad, Shorter]))
def test_weighted_heads_count_as_much_as_their_task(graph, kind):
    losses, leaves = make(graph)
    expected = naive(losses, leaves, kind(list(losses)), weighted=True)
    backward(losses, kind(list(losses)), heads="weighted")
    assert_gradients(leaves, expected, **EXACT)


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("kind", others_slow([PCGrad, Agreed], GRADIENT))
def test_only_what_is_listed_as_shared_is_balanced(graph, kind):
    losses, leaves = make(graph)
    shared = [leaf for leaf in leaves[:2] if leaf.requires_grad] or leaves[2:3]
    expected = naive(losses, leaves, kind(list(losses)), shared=shared)
    backward(losses, kind(list(losses)), shared=shared)
    assert_gradients(leaves, expected, **EXACT)


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("heads", ["plain", "weighted"])
def test_low_memory_changes_nothing(graph, heads):
    losses, leaves = make(graph)
    expected = naive(losses, leaves, Shorter(list(losses)), weighted=heads == "weighted")
    result = backward(losses, Shorter(list(losses)), memory="low", heads=heads)
    assert_gradients(leaves, expected, **EXACT)
    assert result.path == "pieces"


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("heads", ["plain", "weighted"])
@pytest.mark.parametrize("gramian", ["rows", "layers"])
def test_how_the_gramian_is_found_changes_nothing(graph, heads, gramian):
    losses, leaves = make(graph)
    if (graph, gramian) == ("tied_weights", "layers"):
        with pytest.raises(InputError, match="no effect: no linear layer can be read"):
            backward(losses, Shorter(list(losses)), gramian=gramian, heads=heads)
        assert all(leaf.grad is None for leaf in leaves)
        return
    expected = naive(losses, leaves, Shorter(list(losses)), weighted=heads == "weighted")
    result = backward(losses, Shorter(list(losses)), gramian=gramian, heads=heads)
    assert_gradients(leaves, expected, **EXACT)
    assert result.path == gramian


@pytest.mark.parametrize("graph", GRAPHS)
def test_a_subset_of_the_tasks_is_balanced_as_if_there_were_no_other(graph):
    losses, leaves = make(graph)
    some = dict(list(losses.items())[1:]) or losses
    expected = naive(some, leaves, Shorter([*"abcdefgh"]))
    result = backward(some, Shorter([*"abcdefgh"]))
    assert_gradients(leaves, expected, **EXACT)
    assert list(result.weights) == list(some)


@pytest.mark.parametrize("graph", GRAPHS)
def test_known_parameters_save_the_walk_and_change_nothing(graph):
    losses, leaves = make(graph)
    shared = [leaf for leaf in leaves[:2] if leaf.requires_grad] or leaves[2:3]
    names = {id(leaf) for leaf in shared}
    own = {
        task: [
            leaf
            for leaf in leaves
            if id(leaf) not in names
            and leaf.requires_grad
            and torch.autograd.grad(loss, leaf, retain_graph=True, allow_unused=True)[0] is not None
        ]
        for task, loss in losses.items()
    }
    expected = naive(losses, leaves, Shorter(list(losses)), shared=shared)
    backward(losses, Shorter(list(losses)), shared=shared, task_parameters=own)
    assert_gradients(leaves, expected, **EXACT)


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("kind", others_slow([PCGrad, Agreed], GRADIENT))
def test_float32_agrees_to_its_precision(graph, kind, monkeypatch):
    losses, leaves = make(graph)
    expected = naive(losses, leaves, kind(list(losses)))
    monkeypatch.setattr(graphs, "DTYPE", torch.float32)
    losses, leaves = make(graph)
    backward(losses, kind(list(losses)))
    assert {leaf.dtype for leaf in leaves} == {torch.float32}
    assert_gradients(leaves, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"memory": "low"}, {"gramian": "rows"}])
def test_losses_in_float64_of_a_network_in_float32_have_the_rounding_of_float32(options):
    """As with targets in float64. Rounding taken for a direction would shrink the whole step."""
    steps = []
    for dtype in (torch.float32, torch.float64):
        torch.manual_seed(0)
        shared = torch.randn(5000, requires_grad=True)
        loss = (shared * torch.randn(5000)).square().sum()
        losses = {task: (k * loss).to(dtype) for task, k in {"a": 1.0, "b": 0.3, "c": 7.7}.items()}
        backward(losses, AlignedMTL(list(losses)), [shared], **options)
        steps.append(shared.grad)
    torch.testing.assert_close(*steps, rtol=1e-3, atol=1e-3 * float(steps[0].abs().max()))
