"""Post-accumulate hooks run once a leaf and call, when its gradient is final, whatever the way."""

from copy import deepcopy

import pytest
import quick_cases
import torch
from graphs import Agreed, Shorter, Worst, assert_gradients, data, linear
from quick_cases import others_slow
from torch import nn
from torch.amp import GradScaler
from torch.testing import assert_close

from motet.balancing import (
    DBMTL,
    IMTL,
    Equal,
    Uncertainty,
    available,
    backward,
    create,
)
from motet.balancing.gradient_ratio import GradientRatio
from motet.balancing.gradnorm import GradNorm
from motet.balancing.pcgrad import PCGrad

TASKS = ("a", "b", "c")
OPTIONS = {"manual": {"weights": {"a": 1.0, "b": 0.5, "c": 3.0}}}


class Net(nn.Module):
    """Shared layers, a head for each task, one that only two tasks use, and an unused one."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Sequential(linear(3, 4), nn.Tanh(), linear(4, 4), nn.Tanh())
        self.extra = linear(4, 4)
        self.heads = nn.ModuleList(linear(4, 1) for _ in TASKS)
        self.unused = linear(2, 2)

    def losses(self, rows=slice(None), tasks=TASKS):
        z = self.encoder(data(6, 3)[rows])
        parts = zip(TASKS, self.heads, (z, self.extra(z), self.extra(z)), strict=True)
        return {task: (head(y) - 1).pow(2).mean() for task, head, y in parts if task in tasks}

    def penalty(self):
        """Reaches shared, own and otherwise unused parameters."""
        parts = [self.encoder[0].weight, self.heads[0].weight, self.unused.weight]
        return 0.1 * sum(part.square().sum() for part in parts)


def in_the_backward_pass(module, made):
    """Step in hooks, with an optimizer for each parameter, and let gradients go."""
    for parameter in module.parameters():
        optimizer = made([parameter])

        def step(leaf, optimizer=optimizer):
            optimizer.step()
            leaf.grad = None

        parameter.register_post_accumulate_grad_hook(step)


def descent(parameters):
    return torch.optim.SGD(parameters, lr=0.05, momentum=0.9)


def trained(name, *, hooks, penalty):
    """Some steps with all that the balancer wants of a loop."""
    net, balancer = Net(), create(name, TASKS, **OPTIONS.get(name, {}))
    both = nn.ModuleList([net, balancer])
    optimizer = descent(both.parameters())
    if hooks:
        in_the_backward_pass(both, descent)
    for step in range(4):
        if balancer.needs.looks_ahead:
            plain = torch.optim.SGD(net.parameters(), lr=0.05)
            balancer.look_ahead(net, plain, net.losses, net.losses)
        more = {"penalty": net.penalty()} if penalty else {}
        backward(net.losses(), balancer, net.encoder, **more)
        if not hooks:
            optimizer.step()
            optimizer.zero_grad()
        if balancer.needs.after_step:
            balancer.after_step({task: loss.detach() for task, loss in net.losses().items()})
        if balancer.needs.epochs:
            balancer.end_epoch({task: 1.0 + k / (step + 1) for k, task in enumerate(TASKS)})
        if balancer.needs.scores:
            balancer.observe_scores({task: 0.2 * (k + 1) for k, task in enumerate(TASKS)})
    assert all(leaf.grad is None for leaf in both.parameters())
    return both


@pytest.mark.parametrize("penalty", [False, True])
@pytest.mark.parametrize("name", others_slow(quick_cases.BALANCERS, available()))
def test_an_optimizer_in_the_backward_pass_makes_the_step_that_one_after_it_makes(name, penalty):
    expected = trained(name, hooks=False, penalty=penalty).state_dict()
    found = trained(name, hooks=True, penalty=penalty).state_dict()
    moved = Net().state_dict()
    assert any(not torch.equal(moved[key], expected[f"0.{key}"]) for key in moved)
    for key, value in expected.items():
        assert_close(found[key], value)


def gradients_in_hooks(module):
    """Copies of ``.grad`` as hooks see it, by parameter name, in the order of the calls."""
    seen = []
    for name, parameter in module.named_parameters():
        parameter.register_post_accumulate_grad_hook(
            lambda leaf, name=name: seen.append((name, leaf.grad.clone()))
        )
    return seen


WAYS = {
    "loss": (Equal, {}),
    "loss of one task": (Worst, {}),
    "learned loss": (Uncertainty, {}),
    "norms": (GradNorm, {}),
    "penalized norms": (GradientRatio, {}),
    "rows": (Shorter, {}),
    "jacobian": (Agreed, {}),
    "layers": (Shorter, {"gramian": "layers"}),
    "pieces": (Shorter, {"memory": "low"}),
    "weighted pieces": (Shorter, {"memory": "low", "heads": "weighted"}),
    "weighted rows": (Shorter, {"heads": "weighted"}),
    "representation": (Shorter, {"at": "representation"}),
    "columns": (DBMTL, {}),
    "learned scales": (IMTL, {}),
}


def deep(net):
    """Losses whose tasks part at one place, as a representation needs."""
    z = net.encoder(data(6, 3))
    heads = zip(TASKS, net.heads, strict=True)
    return {task: (head(z) - k).pow(2).mean() for k, (task, head) in enumerate(heads)}


@pytest.mark.parametrize("penalty", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_a_hook_runs_once_for_each_leaf_and_sees_the_whole_gradient(way, penalty):
    kind, options = WAYS[way]
    net, balancer = Net(), kind(TASKS)
    both = nn.ModuleList([net, balancer])
    seen = gradients_in_hooks(both)
    for leaf in both.parameters():
        leaf.grad = torch.full_like(leaf, 0.5)  # of a call before
    more = {"penalty": net.penalty()} if penalty else {}
    backward(deep(net), balancer, net.encoder, **more, **options)
    written = {
        name: leaf.grad for name, leaf in both.named_parameters() if (leaf.grad != 0.5).any()
    }
    names = [name for name, _ in seen]
    assert len(set(names)) == len(names)
    assert set(written) <= set(names)
    for name, gradient in seen:
        assert torch.equal(gradient, both.get_parameter(name).grad), name
    unused = {"0.unused.weight"} if penalty else set()
    assert {name for name in names if "unused" in name or "extra" in name} == unused


def test_hooks_run_once_where_tasks_have_rows_of_their_own():
    net, balancer = Net(), Shorter(TASKS)
    seen = gradients_in_hooks(net)
    z = net.encoder(data(6, 3))
    parts = zip(TASKS, net.heads, z.split(2), strict=True)
    result = backward({task: head(y).pow(2).mean() for task, head, y in parts}, balancer)
    assert result.path == "blocks"
    assert sorted(name for name, _ in seen) == sorted(
        name for name, leaf in net.named_parameters() if leaf.grad is not None
    )


@pytest.mark.parametrize("heads", ["plain", "weighted"])
def test_hooks_run_once_where_weights_are_kept(heads):
    net, balancer = Net(), PCGrad(TASKS, every=2)
    for path in ("rows", "kept weights"):
        seen = gradients_in_hooks(net := deepcopy(net))
        assert backward(net.losses(), balancer, net.encoder, heads=heads).path == path
        assert len(seen) == len({name for name, _ in seen}) == 12
        assert all(torch.equal(g, net.get_parameter(name).grad) for name, g in seen)


def test_components_run_each_hook_once():
    nets = Net(), Net()
    both = nn.ModuleList(nets)
    seen = gradients_in_hooks(both)
    losses = {**{t: v for t, v in nets[0].losses().items() if t != "c"}}
    losses |= {t + t: v for t, v in nets[1].losses().items() if t != "c"}
    assert len(backward(losses, Shorter(list(losses))).components) == 2
    names = [name for name, _ in seen]
    assert len(names) == len(set(names)) == 2 * 10


@pytest.mark.parametrize(
    ("kind", "options"),
    [(Shorter, {}), (Shorter, {"heads": "weighted"}), (Agreed, {}), (Worst, {}), (Uncertainty, {})],
)
def test_hooks_of_micro_batches_run_at_the_one_that_solves(kind, options):
    """The head of c has its gradient from the first micro-batch alone."""
    net, balancer = Net(), kind(TASKS)
    both = nn.ModuleList([net, balancer])
    seen = gradients_in_hooks(both)
    options |= {"shared": net.encoder}
    first = net.losses(slice(0, 2))
    waiting = backward(first, balancer, penalty=net.penalty(), solve=False, **options)
    assert not seen
    backward(net.losses(slice(2, 6), "ab"), balancer, previous=waiting, **options)
    names = [name for name, _ in seen]
    assert len(names) == len(set(names))
    assert set(names) == {n for n, leaf in both.named_parameters() if leaf.grad is not None}
    assert {"0.heads.2.weight", "0.unused.weight"} <= set(names)
    assert all(torch.equal(g, both.get_parameter(name).grad) for name, g in seen)


@pytest.mark.parametrize("kind", [Equal, Shorter])
def test_with_a_loss_scaler_hooks_see_what_is_left_in_grad(kind):
    plain, scaled = Net(), Net()
    backward(plain.losses(), kind(TASKS), penalty=plain.penalty())
    seen = gradients_in_hooks(scaled)
    scaler = GradScaler("cpu", init_scale=64.0)
    backward(scaled.losses(), kind(TASKS), penalty=scaled.penalty(), scaler=scaler)
    for name, gradient in seen:
        assert_close(gradient, 64 * plain.get_parameter(name).grad)


def test_hooks_may_change_weights_in_place_without_no_grad_and_remove_themselves():
    net = Net()
    before = net.encoder[0].weight.detach().clone()

    def once(leaf):
        leaf.sub_(leaf.grad)
        handle.remove()

    handle = net.encoder[0].weight.register_post_accumulate_grad_hook(once)
    backward(net.losses(), Shorter(TASKS))
    moved = net.encoder[0].weight.detach().clone()
    assert_close(moved, before - net.encoder[0].weight.grad)
    backward(net.losses(), Shorter(TASKS))
    assert torch.equal(net.encoder[0].weight, moved)


def test_hooks_change_no_gradient():
    plain, heard = Net(), Net()
    gradients_in_hooks(heard)
    for net in (plain, heard):
        backward(net.losses(), Shorter(TASKS), net.encoder, penalty=net.penalty(), memory="low")
    expected = [leaf.grad for leaf in plain.parameters()]
    assert_gradients(list(heard.parameters()), expected)
