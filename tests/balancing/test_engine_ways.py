"""Which ways a call takes, for every kind of balancer and every option."""

from dataclasses import replace

import pytest
import torch

from motet.balancing import create
from motet.balancing.engine.call import BackwardCall
from motet.balancing.engine.ways import ways

EVERY = ("kept_weights", "blocks", "layers", "rows")


def call(name, **options):
    losses = {task: torch.tensor(1.0, requires_grad=True) for task in "ab"}
    return BackwardCall(losses, create(name, ["a", "b"]), **options)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("equal", {}, ("one_pass",)),
        ("gradnorm", {}, ("observed_norms",)),
        ("gradient_ratio", {}, ("penalized_norms",)),
        ("graddrop", {}, ("rows",)),
        ("graddrop", {"at": "representation"}, ("representation",)),
        ("pcgrad", {}, EVERY),
        ("pcgrad", {"at": "representation"}, ("representation",)),
        ("pcgrad", {"memory": "low"}, ("kept_weights", "pieces")),
        ("pcgrad", {"memory": "low", "gramian": "rows"}, ("kept_weights", "pieces")),
        ("pcgrad", {"gramian": "rows"}, ("kept_weights", "rows")),
        ("pcgrad", {"gramian": "layers"}, ("kept_weights", "layers")),
    ],
)
def test_a_call_takes_the_ways_of_its_balancer_and_its_options(name, options, expected):
    assert tuple(way.__name__ for way in ways(call(name, **options))) == expected


@pytest.mark.parametrize("name", ["equal", "pcgrad", "graddrop"])
def test_micro_batches_are_added_up_whatever_the_balancer(name):
    first = call(name, solve=False)
    last = replace(call(name), previous=first.result(weights=None, path="rows"))
    assert not first.whole
    assert not last.whole
    assert {way.__name__ for each in (first, last) for way in ways(each)} == {"accumulated"}
