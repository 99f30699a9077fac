"""GradNorm: known answers (methods, section 5), and which layer its norms are taken on."""

import copy
import math

import numpy as np
import pytest
import torch
from steps import step
from torch import nn
from torch.testing import assert_close

from motet.balancing import LossBalancer, backward, combine
from motet.balancing.gradient_ratio import GradientRatio
from motet.balancing.gradnorm import GradNorm
from motet.problems import InputError

TASKS = ("a", "b")


def settled(norms, losses=(1.0, 1.0), steps=3000, **options):
    balancer = GradNorm(TASKS, learning_rate=0.005, **options)
    for _ in range(steps):
        step(balancer, losses)
        balancer.observe_norms(
            torch.tensor(norms), torch.tensor(losses), torch.arange(len(balancer.tasks))
        )
    return balancer.learned


def test_with_equal_rates_the_weighted_norms_become_equal():
    assert_close(
        settled((1.0, 10.0), steps=900), torch.tensor([20 / 11, 2 / 11]), rtol=0, atol=0.02
    )


def test_one_step_is_that_of_a_naive_reference():
    balancer = GradNorm(TASKS, alpha=1.5, initial_losses={"a": 2.0, "b": 1.0})
    balancer.learned.copy_(torch.tensor([1.5, 0.5]))
    weights = torch.tensor([1.5, 0.5], dtype=torch.float64, requires_grad=True)
    norms, losses = np.array([2.0, 9.8]), np.array([1.0, 0.8])  # with alpha 1 b would have to fall
    rates = losses / [2.0, 1.0]
    targets = np.mean([1.5 * 2, 0.5 * 9.8]) * (rates / rates.mean()) ** 1.5
    optimizer = torch.optim.Adam([weights], lr=0.025)
    (weights * torch.tensor(norms) - torch.tensor(targets)).abs().sum().backward()
    optimizer.step()
    expected = weights.detach() * 2 / weights.detach().sum()
    balancer.observe_norms(torch.tensor(norms), torch.tensor(losses), torch.arange(2))
    assert_close(balancer.learned.double(), expected, rtol=1e-5, atol=0)
    assert_close(balancer.moments[:, 0].double() / 0.1, weights.grad, rtol=1e-5, atol=0)


def plain_loop(batches, trunk, heads, alpha):
    """Train by GradNorm without motet; the weights of the losses, step by step."""
    weights = torch.ones(len(heads), dtype=torch.float64, requires_grad=True)
    own = torch.optim.Adam([weights], lr=0.025)
    optimizer = torch.optim.SGD([*trunk.parameters(), *heads.parameters()], lr=2e-2)
    initial, used = None, []
    for x, y in batches:
        features = trunk(x)
        losses = torch.stack([(head(features) - y).square().mean() for head in heads])
        initial = losses.detach() if initial is None else initial
        layer = [*trunk[-1].parameters()]
        rows = [torch.autograd.grad(loss, layer, retain_graph=True) for loss in losses]
        norms = torch.stack([torch.nn.utils.get_total_norm(row) for row in rows])
        left = losses.detach() / initial
        used.append(weights.detach().clone())
        weighted = weights * norms
        target = (weighted.mean() * (left / left.mean()) ** alpha).detach()
        own.zero_grad()
        (weighted - target).abs().sum().backward(inputs=[weights])
        optimizer.zero_grad()
        (used[-1] * losses).sum().backward()
        optimizer.step()
        own.step()
        with torch.no_grad():
            weights.clamp_(min=1e-4).mul_(len(heads) / weights.sum())
    return torch.stack(used)


def test_training_is_that_of_a_plain_loop():
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 5))
    heads = nn.ModuleList([nn.Linear(5, 1), nn.Linear(5, 1)])
    nn.init.normal_(heads[1].weight, std=2)  # larger gradients, faster progress
    trunk, heads = trunk.double(), heads.double()
    batches = [
        (x, x.sum(dim=1, keepdim=True).sin()) for x in torch.randn(80, 20, 4, dtype=torch.float64)
    ]
    expected = plain_loop(batches, *copy.deepcopy((trunk, heads)), alpha=1.5)

    balancer = GradNorm(TASKS).double()
    optimizer = torch.optim.SGD([*trunk.parameters(), *heads.parameters()], lr=2e-2)
    found = []
    for x, y in batches:
        features = trunk(x)
        losses = [(head(features) - y).square().mean() for head in heads]
        optimizer.zero_grad()
        result = backward(losses, balancer, shared=trunk)
        optimizer.step()
        found.append(torch.stack([*result.weights.values()]))
    assert expected[-1].max() > 1.5
    assert_close(torch.stack(found), expected, rtol=1e-4, atol=1e-5)


def test_the_slower_task_is_weighed_up():
    balancer = GradNorm(TASKS)
    for k in range(20):
        losses = torch.tensor([0.99**k, 0.5**k])
        balancer.observe_norms(torch.ones(2), losses, torch.arange(2))
    assert balancer.learned[0] > 1.1
    assert balancer.learned.sum().item() == pytest.approx(2)


def test_weights_stay_positive_and_share_what_the_present_tasks_had():
    balancer = GradNorm(("a", "b", "c"), learning_rate=10.0)
    balancer.learned.copy_(torch.tensor([0.5, 2.0, 0.5]))
    balancer.observe_norms(torch.tensor([1.0, 9.0]), torch.ones(2), torch.tensor([2, 0]))
    assert (balancer.learned > 0).all()
    assert balancer.learned[1] == 2
    assert balancer.learned.sum().item() == pytest.approx(3)


def test_a_task_alone_teaches_nothing_but_its_first_loss():
    balancer = GradNorm(TASKS)
    balancer.observe_norms(torch.tensor([5.0]), torch.tensor([3.0]), torch.tensor([1]))
    assert balancer.learned.tolist() == [1, 1]
    assert balancer.moments.abs().sum() == 0
    assert balancer.initial.tolist() == [0, 3]


def test_reported_weights_are_the_ones_used_in_the_step_that_found_new_ones():
    x = torch.tensor([2.0, 3.0], requires_grad=True)
    balancer = GradNorm(TASKS)
    for _ in range(3):
        x.grad = None
        used = balancer.learned.clone()
        result = backward({"a": (x**2).sum(), "b": 50 * x.sum()}, balancer)
        assert_close(torch.stack(list(result.weights.values())), used)
        assert_close(x.grad, used[0] * 2 * x.detach() + used[1] * 50)
        assert not torch.equal(balancer.learned, used)


# Where norms are taken --------------------------------------------------------------------------


class Norms(LossBalancer):
    """Keeps the norms it is told."""

    def __init__(self, layer="last", tasks=TASKS):
        super().__init__(tasks)
        self.layer = layer

    def forward(self, losses, present):
        return losses.sum()

    def observe_norms(self, norms, losses, present):
        self.seen = norms, losses, present


class Net(nn.Module):
    """An encoder and heads, of a kind."""

    def __init__(self, encoder):
        super().__init__()
        torch.manual_seed(0)
        self.encoder = encoder()
        self.heads = nn.ModuleDict({task: nn.Linear(4, 1) for task in TASKS})

    def losses(self):
        states = self.encoder(torch.randn(8, 6, generator=torch.Generator().manual_seed(1)))
        return {task: head(states).square().mean() for task, head in self.heads.items()}


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 4), nn.Linear(4, 4)

    def forward(self, x):
        state = self.first(x).relu()
        return state + self.second(state).relu()


class Branches(nn.Module):
    """Registered the other way round than used; the last layer has two parts."""

    def __init__(self):
        super().__init__()
        self.one, self.other = nn.Linear(5, 4), nn.Linear(5, 4)
        self.before = nn.Linear(6, 5)

    def forward(self, x):
        state = self.before(x).tanh()
        return self.one(state) + self.other(state).tanh()


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.rnn = nn.Linear(1, 3), nn.GRU(3, 4, batch_first=True)

    def forward(self, x):
        return self.rnn(self.embed(x[..., None]))[0][:, -1]


class Embedded(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.last = nn.Embedding(10, 3), nn.Linear(18, 4)

    def forward(self, x):
        return self.last(self.table(x.abs().mul(3).long().clamp(max=9)).flatten(1))


def mlp():
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4), nn.LayerNorm(4), nn.ReLU())


def without_bias():
    return nn.Sequential(nn.Linear(6, 5, bias=False), nn.Linear(5, 4, bias=False))


def convolution():
    layers = nn.Conv1d(1, 2, 3), nn.BatchNorm1d(2), nn.ReLU(), nn.Conv1d(2, 1, 1), nn.Flatten()
    return nn.Sequential(nn.Unflatten(1, (1, 6)), *layers)


@pytest.mark.parametrize(
    ("encoder", "last"),
    [
        (mlp, ["2.weight", "2.bias"]),
        (without_bias, ["1.weight"]),
        (convolution, ["4.weight", "4.bias"]),
        (Residual, ["second.weight", "second.bias"]),
        (Branches, ["one.weight", "one.bias", "other.weight", "other.bias"]),
        (Recurrent, ["rnn.weight_hh_l0", "rnn.bias_hh_l0"]),  # the input is behind them
        (Embedded, ["last.weight", "last.bias"]),
    ],
)
@pytest.mark.parametrize("layer", ["last", "all"])
def test_norms_are_of_the_unweighted_losses_on_the_last_shared_layer_or_all(encoder, last, layer):
    net, balancer = Net(encoder), Norms(layer)
    balancer.set_weight("a", 7.0)
    chosen = [p for n, p in net.encoder.named_parameters() if layer == "all" or n in last]
    expected = [
        math.sqrt(
            sum(g.square().sum() for g in torch.autograd.grad(loss, chosen, retain_graph=True))
        )
        for loss in net.losses().values()
    ]
    losses = net.losses()
    backward(losses, balancer)
    norms, values, present = balancer.seen
    assert_close(norms, torch.tensor(expected), rtol=1e-5, atol=1e-7)
    assert_close(values, torch.stack(list(losses.values())).detach())
    assert present.tolist() == [0, 1]


def test_norms_may_be_taken_on_parameters_of_ones_own():
    net, balancer = Net(mlp), Norms("all")
    backward(net.losses(), balancer, shared=net.encoder[0])
    (expected,) = torch.autograd.grad(net.losses()["b"], net.encoder[0].weight)
    bias = torch.autograd.grad(net.losses()["b"], net.encoder[0].bias)[0]
    together = (expected.square().sum() + bias.square().sum()).sqrt()
    assert_close(balancer.seen[0][1], together)
    plain = Net(mlp)
    sum(plain.losses().values()).backward()
    for ours, theirs in zip(net.parameters(), plain.parameters(), strict=True):
        assert_close(ours.grad, theirs.grad)


def test_the_norms_of_micro_batches_added_up_are_those_of_the_batch():
    whole, parts = Norms("all"), Norms("all")
    net = Net(mlp)
    backward(net.losses(), whole, shared=net.encoder)
    expected = [p.grad for p in net.parameters()]
    net.zero_grad()
    result = None
    for number in range(2):
        halves = {task: loss / 2 for task, loss in net.losses().items()}
        result = backward(halves, parts, net.encoder, previous=result, solve=number == 1)
    assert_close(parts.seen[0], whole.seen[0])
    assert_close(parts.seen[1], whole.seen[1])
    assert_close([p.grad for p in net.parameters()], expected)
    with pytest.raises(InputError, match='create it with layer="all"'):
        backward(net.losses(), Norms("last"), net.encoder, solve=False)


def test_a_loss_scaler_changes_neither_norms_nor_what_is_learned():
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**14)
    plain, scaled = Norms(), Norms()
    net = Net(mlp)
    backward(net.losses(), plain)
    expected = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    scaler.scale(torch.ones(()))
    backward(net.losses(), scaled, scaler=scaler)
    assert_close(scaled.seen, plain.seen)
    assert_close([p.grad / 2**14 for p in net.parameters()], expected)


def test_a_norm_that_is_not_finite_is_not_told():
    x = torch.zeros(2, requires_grad=True)
    balancer = Norms()
    backward({"a": x.sum().sqrt(), "b": x.sum()}, balancer)
    assert not hasattr(balancer, "seen")


def test_an_explicit_jacobian_has_norms():
    balancer = Norms()
    rows = torch.tensor([[3.0, 4.0], [0.0, 1.0]])
    combine(rows, balancer, torch.ones(2))
    assert balancer.seen[0].tolist() == [5, 1]


@pytest.mark.parametrize("kind", [GradNorm, GradientRatio])
def test_losses_that_share_nothing_are_added_up_and_the_status_says_so(kind):
    net = Net(mlp)
    losses = {task: net.heads[task].weight.sum() for task in TASKS}
    assert "no parameter in common" in backward(losses, kind(TASKS)).status
    assert all((head.weight.grad == 1).all() for head in net.heads.values())
    with pytest.raises(InputError, match="no two losses reach the same parameter in `shared`"):
        backward(net.losses(), kind(TASKS), shared=net.heads["a"])


@pytest.mark.parametrize("kind", [GradNorm, GradientRatio])
def test_one_loss_alone_is_a_plain_step(kind):
    net, plain = Net(mlp), Net(mlp)
    assert backward({"b": net.losses()["b"]}, kind(TASKS)).status == "ok"
    plain.losses()["b"].backward()
    for ours, theirs in zip(net.encoder.parameters(), plain.encoder.parameters(), strict=True):
        assert_close(ours.grad, theirs.grad)


def test_a_loop_without_norms_is_warned_once():
    balancer = GradNorm(TASKS)
    with pytest.warns(UserWarning, match=r"weights are still 1. motet.backward") as caught:
        [balancer(torch.ones(2)) for _ in range(300)]
    assert len(caught) == 1
