"""Auto-λ: the meta-gradient against closed forms and finite differences of real steps."""

import copy

import pytest
import torch
from torch import nn
from torch.testing import assert_close
from torch.utils.checkpoint import checkpoint

from motet.balancing import backward
from motet.balancing.meta import Meta
from motet.problems import InputError

TASKS = ("a", "b", "c")


class Point(nn.Module):
    def __init__(self):
        super().__init__()
        self.at = nn.Parameter(torch.tensor([2.0, 3.0], dtype=torch.float64))

    def half_square(self, *centre):
        return 0.5 * (self.at - torch.tensor(centre).double()).square().sum()


def meta_gradient(balancer):
    """The gradient that Adam saw in its first step."""
    return balancer.moments[:, 0].double() / 0.1


def test_the_meta_gradient_on_quadratics_has_its_closed_form():
    point, balancer = Point(), Meta(TASKS, main=["a"])
    balancer.learned.copy_(torch.tensor([0.1, 0.1, 0.3]))
    balancer.look_ahead(
        point,
        torch.optim.SGD(point.parameters(), lr=0.05),
        lambda: {
            "a": point.half_square(1.0, 0.0),
            "b": point.half_square(0.0, 2.0),
            "c": point.half_square(1.0, 1.0),
        },
        lambda: {"a": point.half_square(0.5, -1.0), "b": point.half_square(9.0, 9.0)},
    )
    expected = torch.tensor([-0.6660, -0.3445, -0.4685]).double()
    assert_close(meta_gradient(balancer), expected, rtol=0, atol=5e-5)
    assert point.at.tolist() == [2, 3]
    assert point.at.grad is None
    assert (balancer.learned > torch.tensor([0.1, 0.1, 0.3])).all()


class Net(nn.Module):
    def __init__(self, attention=False):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm = nn.Linear(4, 8), nn.BatchNorm1d(8)
        self.table = nn.Embedding(5, 8)
        self.drop = nn.Dropout(0.3)
        self.heads = nn.ModuleDict({task: nn.Linear(8, 1) for task in TASKS})
        self.attention = attention
        self.double()

    def losses(self, seed):
        """As a loop computes them, dropout drawn from the global generator."""
        rng = torch.Generator().manual_seed(seed)
        x = torch.randn(12, 4, generator=rng).double()
        state = self.norm(self.first(x)).tanh() + self.table(torch.arange(12) % 5)
        if self.attention:
            heads = state.reshape(1, 1, 12, 8)
            state = nn.functional.scaled_dot_product_attention(heads, heads, heads).reshape(12, 8)
        state = self.drop(state)
        return {
            task: (head(state)[:, 0] - k * x[:, k]).square().mean()
            for k, (task, head) in enumerate(self.heads.items())
        }


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1, dampening=0.3),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.8, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.1),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "amsgrad": lambda p: torch.optim.AdamW(p, lr=0.01, amsgrad=True),
    "fused": lambda p: torch.optim.AdamW(p, lr=0.01, fused=True),
}


def stepped(net, optimizer, weights, seed):
    """Make a real step on copies of model and optimizer; return the copy."""
    net, optimizer = copy.deepcopy((net, optimizer))
    optimizer.zero_grad()
    torch.manual_seed(5)
    sum(weights[task] * loss for task, loss in net.losses(seed).items()).backward()
    optimizer.step()
    return net


def warmed_up(make, attention=False):
    net = Net(attention)
    optimizer = make(net.parameters())
    for seed in range(3):  # so that momentum and averages are not zero
        optimizer.zero_grad()
        sum(net.losses(seed).values()).backward()
        optimizer.step()
    return net, optimizer


@pytest.mark.parametrize(
    ("name", "attention"),
    [*((name, False) for name in OPTIMIZERS), ("adamw", True)],  # that has no forward mode
)
def test_the_meta_gradient_is_that_of_the_optimizers_own_step(name, attention):
    net, optimizer = warmed_up(OPTIMIZERS[name], attention)
    balancer = Meta(TASKS, main=["b", "a"])
    balancer.set_weight("a", 2.0)  # scales its training and its validation loss
    torch.manual_seed(5)
    forwards = []
    net.first.register_forward_hook(lambda *_: forwards.append(1))
    balancer.look_ahead(net, optimizer, lambda: net.losses(7), lambda: net.losses(8))
    assert len(forwards) == (4 if attention else 3)  # the step's, validation, forward mode
    expected = []
    for task in TASKS:
        ends = []
        for change in (1e-4, -1e-4):
            weights = {"a": 2.0, "b": 1.0, "c": 1.0}
            weights[task] += change * weights[task]
            after = stepped(net, optimizer, weights, seed=7)
            torch.manual_seed(5)
            losses = after.losses(8)
            ends.append((2 * losses["a"] + losses["b"]).item())
        expected.append((ends[0] - ends[1]) / 2e-4)
    assert_close(meta_gradient(balancer), torch.tensor(expected).double(), rtol=2e-3, atol=2e-6)


def test_a_checkpointed_module_is_tried_with_the_weights_after_the_step():
    """It runs again in the backward pass, which must see the same weights."""
    found = []
    for checkpointed in (False, True):
        net, optimizer = warmed_up(OPTIMIZERS["sgd"])
        balancer = Meta(TASKS, main=["b", "a"])
        if checkpointed:
            plain = net.first.forward
            net.first.forward = lambda x, plain=plain: checkpoint(plain, x, use_reentrant=False)
            norm = net.norm.forward
            net.norm.forward = lambda x, norm=norm: checkpoint(norm, x, use_reentrant=False)
        before = copy.deepcopy(net.state_dict())
        torch.manual_seed(5)
        balancer.look_ahead(net, optimizer, lambda: net.losses(7), lambda: net.losses(8))  # noqa: B023
        assert_close(net.state_dict(), before, rtol=0, atol=0)
        found.append(meta_gradient(balancer))
    assert_close(found[1], found[0])


def test_looking_ahead_leaves_no_trace():
    net, optimizer = warmed_up(OPTIMIZERS["adamw"])
    before = copy.deepcopy((net.state_dict(), optimizer.state_dict()))
    torch.manual_seed(3)
    draw = torch.rand(1)
    torch.manual_seed(3)
    net.zero_grad()
    Meta(TASKS).look_ahead(net, optimizer, lambda: net.losses(7), lambda: net.losses(8))
    assert torch.rand(1) == draw
    assert all(p.grad is None for p in net.parameters())
    assert_close((net.state_dict(), optimizer.state_dict()), before, rtol=0, atol=0)


def test_a_task_that_helps_is_weighed_up_and_one_that_harms_down():
    net = Point()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    balancer = Meta(("main", "helps", "harms"), main=["main"], learning_rate=0.01)
    for _ in range(40):

        def losses():
            return {
                "main": net.half_square(0.0, 0.0),
                "helps": net.half_square(0.1, 0.0),
                "harms": net.half_square(9.0, 9.0),
            }

        balancer.look_ahead(net, optimizer, losses, losses)
        optimizer.zero_grad()
        backward(losses(), balancer)
        optimizer.step()
    _, helps, harms = balancer.learned.tolist()
    assert helps > 1.1
    assert harms < 0.9


def test_weights_stay_at_zero_or_above():
    point, balancer = Point(), Meta(("a", "b"), main=["a"], learning_rate=5.0)

    def losses():
        return {"a": point.half_square(0.0, 0.0), "b": point.half_square(9.0, 9.0)}

    balancer.look_ahead(point, torch.optim.SGD(point.parameters(), lr=0.1), losses, losses)
    assert balancer.learned.tolist() == [6, 0]


@pytest.mark.parametrize("validation", [{}, {"b": 1.0}])
def test_without_a_main_task_in_the_batch_nothing_is_learned(validation):
    point, balancer = Point(), Meta(("a", "b"), main=["a"])
    balancer.look_ahead(
        point,
        torch.optim.SGD(point.parameters(), lr=0.1),
        lambda: {"a": point.half_square(1.0, 0.0)},
        lambda: {task: point.half_square(0.0, 0.0) for task in validation},
    )
    assert balancer.learned.tolist() == [1, 1]
    assert balancer(torch.ones(2)) == 2  # the call came


def test_only_tasks_of_the_training_batch_learn():
    point, balancer = Point(), Meta(("a", "b"))
    balancer.look_ahead(
        point,
        torch.optim.SGD(point.parameters(), lr=0.1),
        lambda: {"b": point.half_square(1.0, 0.0)},
        lambda: {"a": point.half_square(0.0, 0.0)},
    )
    assert balancer.moments[:, 2].tolist() == [0, 1]


def test_values_that_are_not_finite_teach_nothing():
    point, balancer = Point(), Meta(("a", "b"))
    balancer.look_ahead(
        point,
        torch.optim.SGD(point.parameters(), lr=0.1),
        lambda: {"a": point.half_square(1.0, 0.0)},
        lambda: {"a": point.half_square(1.0, 0.0) * float("inf")},
    )
    assert balancer.learned.tolist() == [1, 1]


def test_a_loop_that_never_looks_ahead_is_told_at_once():
    with pytest.raises(InputError, match=r"Meta needs `look_ahead\(.*\)` before a step: its weigh"):
        Meta(TASKS)(torch.ones(3))
    with pytest.raises(InputError, match="'z', which is not a task"):
        Meta(TASKS, main=["z"])
    with pytest.raises(InputError, match="main: found no task, expected one or more"):
        Meta(TASKS, main=[])
