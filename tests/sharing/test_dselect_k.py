"""DSelect-k: the smooth step, selectors over binary codes, and a penalty that acts."""

import itertools
import math

import pytest
import torch
from schemes import TARGETS, TASKS, X, model, module
from torch.testing import assert_close

from motet.problems import InputError
from motet.sharing import create
from motet.sharing.dselect_k import SelectorGate, smooth_step
from motet.training import Trainer


@pytest.mark.parametrize(
    ("t", "gamma", "expected"),
    [(-0.5, 1, 0), (0, 1, 0.5), (0.25, 1, 0.84375), (0.5, 1, 1), (1, 4, 0.84375), (9, 4, 1)],
)
def test_the_smooth_step_has_the_values_of_the_paper(t, gamma, expected):
    assert smooth_step(torch.tensor(float(t)), gamma) == expected


def test_a_selector_is_the_product_over_the_digits_of_its_expert():
    gate = SelectorGate(experts=6, k=2, gamma=1.0).double()
    with torch.no_grad():
        gate.digits.uniform_(-0.5, 0.5)
    step = smooth_step(gate.digits, 1.0)
    for selector, expert in itertools.product(range(2), range(6)):
        digits = [step[selector, place] for place in range(3)]
        factors = [d if expert >> place & 1 else 1 - d for place, d in enumerate(digits)]
        assert_close(gate.selectors()[selector, expert], math.prod(factors))
    assert_close(gate(), gate.mix.softmax(0) @ gate.selectors())


def test_decided_selectors_choose_exactly_k_experts_and_cost_nothing():
    torch.manual_seed(0)
    gate = SelectorGate(experts=8, k=2, gamma=1.0)
    with torch.no_grad():
        gate.digits.copy_(torch.tensor([[1.0, -1.0, 1.0], [-1.0, -1.0, -1.0]]))
    assert gate().nonzero().flatten().tolist() == [0, 5]
    assert gate().sum().item() == pytest.approx(1)
    assert gate.indecision() == 0


@pytest.mark.parametrize("experts", [4, 5])
def test_the_penalty_is_the_entropy_and_what_lies_on_experts_that_are_not_there(experts):
    found = module("dselect_k", experts=experts, entropy=0.3)
    expected = 0
    for task in ("a", "c"):
        for selector in found.gates[task].selectors():
            expected -= (selector * selector.log()).sum()
            if experts == 5:
                expected += 1 / selector.sum() - 1
    assert_close(found.penalty(["a", "c"]), 0.3 * expected)
    assert_close(found.penalty(), found.penalty(TASKS))
    assert module("dselect_k", entropy=0.0).penalty() is None


def test_the_entropy_changes_the_update_and_no_gradient_comes_from_forward():
    digits = []
    for entropy in (0.0, 1.0):
        found = model("dselect_k", entropy=entropy)
        found(X)
        assert all(parameter.grad is None for parameter in found.parameters())
        batch = {"inputs": X, "targets": TARGETS}
        result = Trainer(found, optimizer="sgd").train_step(batch)
        assert (result.penalty is None) == (entropy == 0)
        digits.append(found.sharing.gates["a"].digits.detach())
    assert not torch.equal(*digits)


def test_selectors_decide_when_the_penalty_alone_is_left():
    torch.manual_seed(0)
    found = module("dselect_k", experts=5, k=2, entropy=1.0)
    optimizer = torch.optim.Adam(found.gates.parameters(), lr=0.01)
    for _ in range(300):
        optimizer.zero_grad()
        found.penalty().backward()
        optimizer.step()
    for task in TASKS:
        selectors = found.gates[task].selectors()
        assert_close(selectors.max(1).values, torch.ones(2).double(), rtol=0, atol=1e-3)


def test_it_is_a_weighted_sum_of_experts_that_no_row_changes():
    found = module("dselect_k")
    outputs = found.experts(found.bottom(X))
    for task, state in found(X, TASKS).items():
        assert_close(state, torch.einsum("e,bed->bd", found.gates[task](), outputs))
        assert found.describe()["gates"][task] == found.gates[task]().tolist()


@pytest.mark.parametrize("options", [{"experts": 1, "k": 1}, {"experts": 2, "k": 3}])
def test_there_must_be_something_to_select(options):
    with pytest.raises(
        InputError, match=r"experts: found . with k: ., expected at least 2, and at least k"
    ):
        create("dselect_k", **options)
