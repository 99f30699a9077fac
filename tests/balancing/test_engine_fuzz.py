"""Random networks: every way gives what plain gradients of each task give."""

from collections import Counter
from functools import cache

import pytest
import torch
from graphs import Agreed, assert_gradients, naive
from networks import Network

from motet.balancing import backward
from motet.balancing.families import GramianBalancer, LossBalancer
from motet.problems import InputError

QUICK, ALL = 25, 250
SEEDS = [pytest.param(n, marks=() if n < QUICK else pytest.mark.slow) for n in range(ALL)]


class Woven(GramianBalancer):
    """Weights that depend smoothly on every inner product."""

    def forward(self, gramian, losses, present):
        return 1 + (gramian / gramian.trace()).tanh().sum(dim=1)


class Skewed(LossBalancer):
    def forward(self, losses, present):
        return (losses.square() / 2 + losses).sum()


def tolerance(network, expected, path):
    size = max([1.0, *(float(each.abs().max()) for each in expected if each is not None)])
    share = 1e-9 if network.precision == "double" else 1e-4
    if network.precision == "autocast" and path in ("pieces", "kept weights", "loss"):
        share = 0.1  # of weighted sums of cotangents, which are rounded to bfloat16
    return {"rtol": 0.0, "atol": share * size}


def compared(network, expected, call):
    """Make a call on a new graph, compare what it left, and return its result."""
    network.modules.zero_grad()
    try:
        result = call(network.losses())
    except InputError as error:
        if "has no effect" in str(error):  # no layer that can be read as a product
            return None
        raise
    assert_gradients(network.leaves, expected, **tolerance(network, expected, result.path))
    return result


def ways(network, shared=None):
    """Check every way on one network.

    Returns:
        The names of the ways taken.
    """
    tasks, leaves = network.tasks, network.leaves
    network.losses()  # shortens rows of tables that are too long
    plain = naive(network.losses(), leaves, Woven(tasks), shared=shared)
    weighted = naive(network.losses(), leaves, Woven(tasks), shared=shared, weighted=True)
    found = []

    def check(expected, balancer, **options):
        options = {"shared": shared, **options}
        result = compared(network, expected, lambda losses: backward(losses, balancer, **options))
        found.append(result)
        return result

    for gramian in ("auto", "rows", "layers"):
        check(plain, Woven(tasks), gramian=gramian)
        check(weighted, Woven(tasks), gramian=gramian, heads="weighted")
    check(plain, Woven(tasks), memory="low")
    twice = Woven(tasks, every=2).double()
    check(plain, twice)
    check(plain, twice)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**8)
    scaled = [None if each is None else each * 2.0**8 for each in plain]
    check(scaled, Woven(tasks), scaler=scaler)
    check(naive(network.losses(), leaves, Agreed(tasks), shared=shared), Agreed(tasks))
    check(naive(network.losses(), leaves, Skewed(tasks), weighted=True), Skewed(tasks), shared=None)
    check_micro_batches(network, plain, shared)
    gramians = [each.gramian for each in found if each is not None and each.gramian is not None]
    if network.precision == "double":
        for each in gramians[1:]:
            torch.testing.assert_close(each, gramians[0], rtol=1e-8, atol=1e-12)
    return [each.path for each in found if each is not None]


def check_micro_batches(network, expected, shared):
    balancer = Woven(network.tasks)

    def half():
        return {task: loss / 2 for task, loss in network.losses().items()}

    network.modules.zero_grad()
    first = backward(half(), balancer, shared, solve=False)
    result = backward(half(), balancer, shared, previous=first)
    assert_gradients(network.leaves, expected, **tolerance(network, expected, result.path))


def some_shared(network):
    """Choose some of the leaves that several tasks reach, for some networks."""
    losses, leaves = network.losses(), [leaf for leaf in network.leaves if leaf.requires_grad]
    reached = Counter()
    for loss in losses.values():
        found = torch.autograd.grad(loss, leaves, retain_graph=True, allow_unused=True)
        reached.update(place for place, each in enumerate(found) if each is not None)
    common = [leaf for place, leaf in enumerate(leaves) if reached[place] > 1]
    if network.draw.random() > 0.25 or not common:
        return None
    return network.draw.sample(common, max(1, len(common) // 2))


@cache
def taken(seed):
    network = Network(seed)
    return ways(network, some_shared(network))


@pytest.mark.parametrize("seed", SEEDS)
def test_every_way_gives_what_plain_gradients_give(seed):
    assert taken(seed)


def test_the_networks_take_every_way():
    found = Counter(path for seed in range(QUICK) for path in taken(seed))
    expected = {"rows", "layers", "tables", "blocks", "pieces", "kept weights", "loss"}
    assert {path for path, count in found.items() if count >= 3} == expected
