"""Soft sharing: closed forms of the regularisers, strength over sizes, exact zeros."""

import math

import pytest
import torch
from quick_cases import others_slow
from schemes import TARGETS, TASKS, WIDTH, X, backbone, model, module
from torch import nn
from torch.testing import assert_close

from motet import sharing
from motet.problems import InputError
from motet.sharing.regularizers import (
    group_lasso,
    pairwise_l2,
    shrink,
    shrink_groups,
    shrink_singular_values,
    trace_norm,
)
from motet.training import Trainer

REGULARIZERS = ["l2", "trace_norm", "group_lasso", "elastic_net"]
KINKED = REGULARIZERS[1:]
W = torch.randn(4, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_pairwise_l2_is_the_sum_over_pairs():
    pairs = sum((W[i] - W[j]).square().sum() for i in range(4) for j in range(i))
    assert_close(pairwise_l2(W), pairs)


def test_trace_norm_of_equal_tasks_and_of_orthonormal_ones_is_known():
    assert_close(trace_norm(torch.tensor([[3.0, 4.0]] * 4)), torch.tensor(10.0))
    assert_close(trace_norm(torch.eye(4, 9)), torch.tensor(4.0))


@pytest.mark.parametrize("weights", [torch.zeros(3, 5), torch.ones(3, 5), torch.eye(3, 5)])
def test_the_subgradient_of_the_trace_norm_is_finite_where_it_has_kinks(weights):
    weights = weights.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(trace_norm(weights), weights)
    assert gradient.isfinite().all()
    assert torch.linalg.matrix_norm(gradient, 2) <= 1 + 1e-5


@pytest.mark.parametrize(
    ("step", "f"),
    [
        (shrink, lambda v: v.abs().sum()),
        (shrink_groups, group_lasso),
        (shrink_singular_values, trace_norm),
    ],
)
def test_a_proximal_step_minimises_what_it_should(step, f):
    found = step(W, 0.7)

    def objective(v):
        return (v - W).square().sum() / 2 + 0.7 * f(v)

    for _ in range(50):
        assert objective(found) < objective(found + 0.05 * torch.randn_like(W))


def test_proximal_steps_have_the_values_known():
    assert_close(shrink_groups(torch.tensor([[3.0], [4.0]]), 2.5), torch.tensor([[1.5], [2.0]]))
    assert shrink_groups(torch.zeros(2, 3), 1.0).equal(torch.zeros(2, 3))
    assert shrink(torch.tensor([2.0, -0.5, -3.0]), 1.0).tolist() == [1.0, 0.0, -2.0]
    shrunk = shrink_singular_values(torch.diag(torch.tensor([3.0, 1.0])), 1.0)
    assert_close(shrunk, torch.diag(torch.tensor([2.0, 0.0])))


def stacked(found, tasks=TASKS):
    for same in zip(*(found.columns[task].parameters() for task in tasks), strict=True):
        yield torch.stack([each.flatten() for each in same]), len(same[0])


FORMULAS = {
    "l2": lambda w, m: pairwise_l2(w) / m,
    "trace_norm": lambda w, m: trace_norm(w) / m**0.5,
    "group_lasso": lambda w, m: group_lasso(w) / (w.shape[1] * m) ** 0.5,
    "elastic_net": lambda w, m: (
        0.25 * w.abs().sum() / (w.shape[1] * m) ** 0.5 + 0.75 * w.square().sum() / m
    ),
}


@pytest.mark.parametrize("name", REGULARIZERS)
@pytest.mark.parametrize("tasks", [None, ["c", "a"]])
def test_the_penalty_is_that_of_the_formula_over_the_enabled_tasks(name, tasks):
    share = {"l1_share": 0.25} if name == "elastic_net" else {}
    found = module("soft", regularizer=name, strength=0.3, **share)
    expected = sum(FORMULAS[name](w, m) for w, m in stacked(found, tasks or TASKS))
    assert_close(found.penalty(tasks), 0.3 * expected)


@pytest.mark.parametrize("name", REGULARIZERS)
def test_strength_means_the_same_for_layers_of_any_size(name):
    def penalty(before, after):
        torch.manual_seed(0)
        layer = nn.Linear(before, after, bias=False)
        scheme = sharing.create("soft", regularizer=name, strength=1.0)
        return scheme.build([layer], TASKS, after).penalty().item()

    first = penalty(64, 64)
    for sizes in ((64, 512), (512, 64), (512, 512)):
        assert penalty(*sizes) == pytest.approx(first, rel=0.15)


def test_only_the_layers_told_are_tied():
    found = module("soft", layers=[2, 3])
    found.penalty().backward()
    for task in TASKS:
        drawn = [stage[0].weight.grad is not None for stage in found.columns[task]]
        assert drawn == [False, True, True, False]


def test_nothing_is_tied_without_strength_or_a_second_task():
    assert module("soft", strength=0.0).penalty() is None
    assert module("soft").penalty(["a"]) is None
    assert module("soft", regularizer="group_lasso").penalty(["a"]) is not None


def test_a_network_is_that_of_its_task_alone():
    found = module("soft")
    for task, state in found(X, TASKS).items():
        assert_close(state, nn.Sequential(*found.columns[task])(X))


def test_l2_draws_the_networks_together():
    def distance(strength):
        found = model("soft", strength=strength)
        trainer = Trainer(found, learning_rate=1e-2, batch_size=7)
        for _ in range(200):
            trainer.train_step({"inputs": X, "targets": TARGETS})
        return max(found.sharing.describe()["distance"].values())

    assert distance(3.0) < 0.2 < 1.0 < distance(0.0)


def test_distance_is_zero_for_equal_networks_and_zeros_are_counted():
    found = module("soft")
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.copy_(torch.arange(parameter.numel()).view_as(parameter))
    described = found.describe()
    assert described["distance"] == {"a, b": 0.0, "a, c": 0.0, "b, c": 0.0}
    sizes = [parameter.numel() for parameter in found.columns["a"].parameters()]
    assert described["zeros"] == pytest.approx(len(sizes) / sum(sizes))


@pytest.mark.parametrize("name", others_slow(KINKED[:1], KINKED))
def test_a_proximal_scheme_leaves_exact_zeros_and_gradients_alone_none(name):
    def trained(*, proximal):
        found = model("soft", regularizer=name, strength=3.0, proximal=proximal)
        trainer = Trainer(found, optimizer="sgd", learning_rate=1e-2, batch_size=7)
        for _ in range(100):
            trainer.train_step({"inputs": X, "targets": TARGETS})
        return found.sharing

    exact, smooth = trained(proximal=True), trained(proximal=False)
    if name == "trace_norm":
        ranks = [torch.linalg.matrix_rank(w, tol=1e-12) for w, _ in stacked(exact)]
        assert min(ranks) < 3
        assert all(torch.linalg.matrix_rank(w, tol=1e-12) == 3 for w, _ in stacked(smooth))
    else:
        assert exact.describe()["zeros"] > 0.05
        assert smooth.describe()["zeros"] == 0


@pytest.mark.parametrize("name", KINKED)
def test_a_proximal_step_is_that_of_the_formula_and_spares_the_disabled_and_the_frozen(name):
    found = module("soft", regularizer=name, strength=0.5, proximal=True)
    found.columns["c"][0].requires_grad_(False)
    before = {task: [p.clone() for p in found.columns[task].parameters()] for task in TASKS}
    found.after_step(0.1, ["a", "c"])
    step = {
        "trace_norm": lambda w, m: shrink_singular_values(w, 0.05 / math.sqrt(m)),
        "group_lasso": lambda w, m: shrink_groups(w, 0.05 / math.sqrt(w.shape[1] * m)),
        "elastic_net": lambda w, m: shrink(w, 0.025 / math.sqrt(w.shape[1] * m)),
    }[name]
    for place, (one, other) in enumerate(zip(before["a"], before["c"], strict=True)):
        expected = step(torch.stack([one.flatten(), other.flatten()]), len(one))
        after = [list(found.columns[task].parameters())[place].flatten() for task in TASKS]
        assert_close(after[0], expected[0])
        assert_close(after[2], other.flatten() if place < 2 else expected[1])
        assert after[1].equal(before["b"][place].flatten())


def test_what_acts_after_the_step_is_no_part_of_the_penalty():
    assert module("soft", regularizer="group_lasso", proximal=True).penalty() is None
    found = module("soft", regularizer="elastic_net", proximal=True, strength=1.0)
    assert_close(found.penalty(), sum(w.square().sum() / 2 / m for w, m in stacked(found)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"regularizer": "l1"}, "regularizer"),
        ({"proximal": True}, "proximal: applies only with regularizer: trace_norm or group_lasso"),
        ({"regularizer": "group_lasso", "l1_share": 0.5}, "l1_share: applies only with"),
        ({"strength": -1.0}, "strength"),
        (
            {"layers": [5]},
            r"layers: found \[5\], but .* has 4 stages .*; expected numbers from 1 to 4",
        ),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        sharing.create("soft", **options).build(backbone(), TASKS, WIDTH)
