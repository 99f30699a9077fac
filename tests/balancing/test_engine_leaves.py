"""What losses reach decides which leaves are shared, whatever lists a call comes with."""

import warnings

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from motet.balancing import MGDA, PCGrad, backward, reached_tasks


class Net:
    """Two heads on one encoder."""

    def __init__(self):
        torch.manual_seed(0)
        self.encoder = nn.Linear(3, 4)
        self.heads = {task: nn.Linear(4, 1) for task in "ab"}
        self.x = torch.randn(5, 3)

    def losses(self):
        z = torch.tanh(self.encoder(self.x))
        return {task: head(z).square().mean() for task, head in self.heads.items()}


def test_parameters_that_task_parameters_leave_out_get_their_gradient():
    net = Net()
    losses = net.losses()
    plain = torch.autograd.grad(losses["b"], net.heads["b"].weight, retain_graph=True)[0]
    own = {"a": net.heads["a"].parameters()}
    backward(losses, PCGrad(["a", "b"]), shared=net.encoder, task_parameters=own)
    assert torch.equal(net.heads["b"].weight.grad, plain)


@pytest.mark.parametrize("call", [2, 3, 5, 9, 257])
def test_a_graph_that_grows_later_is_noticed(call):
    net, balancer, late = Net(), PCGrad(["a", "b"]), nn.Parameter(torch.tensor(3.0))
    own = {task: list(head.parameters()) for task, head in net.heads.items()}
    for number in range(1, call + 1):
        losses = net.losses()
        if number == call:
            losses["b"] = losses["b"] + late.square()
        backward(losses, balancer, shared=net.encoder, task_parameters=own)
    assert late.grad == 6


def test_heads_among_the_shared_parameters_are_reported_once():
    net, balancer = Net(), PCGrad(["a", "b"])
    shared = [*net.encoder.parameters(), *net.heads["a"].parameters()]
    with pytest.warns(UserWarning, match=r"holds 2 parameters that only one task reaches \(a\)"):
        backward(net.losses(), balancer, shared=shared)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        backward(net.losses(), balancer, shared=shared)
        everything = [p for each in (net.encoder, *net.heads.values()) for p in each.parameters()]
        one = {"a": net.losses()["a"]}  # b may reach them too
        backward(one, PCGrad(["a", "b"]), shared=everything)


def test_an_input_that_requires_a_gradient_is_not_shared():
    net = Net()
    net.x.requires_grad_()
    plain = torch.autograd.grad(sum(net.losses().values()), net.x)[0]
    encoder = list(net.encoder.parameters())
    rows = [
        torch.cat([g.flatten() for g in torch.autograd.grad(net.losses()[task], encoder)])
        for task in "ab"
    ]
    result = backward(net.losses(), MGDA(["a", "b"]))
    assert_close(net.x.grad, plain)
    jacobian = torch.stack(rows).double()
    assert_close(result.gramian, jacobian @ jacobian.T)


def test_outputs_show_which_tasks_reach_a_leaf():
    net = Net()
    found = reached_tasks({**net.losses(), "c": torch.zeros(())})
    assert found == {
        **dict.fromkeys(net.encoder.parameters(), frozenset("ab")),
        **dict.fromkeys(net.heads["a"].parameters(), frozenset("a")),
        **dict.fromkeys(net.heads["b"].parameters(), frozenset("b")),
    }


def test_what_a_compiled_module_uses_is_not_told_apart():
    """Its graph is one node, so every output seems to depend on everything."""

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 1), nn.Linear(3, 1)

        def forward(self, x):
            return self.a(x), self.b(x)

    outputs = dict(
        zip("ab", torch.compile(Both(), backend="aot_eager")(torch.ones(2, 3)), strict=True)
    )
    assert reached_tasks(outputs) == {}


def test_sharing_everything_is_warned_of_once_with_lists_of_parameters_too():
    net, balancer = Net(), PCGrad(["a", "b"])
    everything = [p for each in (net.encoder, *net.heads.values()) for p in each.parameters()]
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for _ in range(3):
            backward(net.losses(), balancer, everything, task_parameters={})
    assert ["holds 4 parameters that only one task" in str(each.message) for each in found] == [
        True
    ]
    assert found[0].filename == __file__


def test_tasks_that_share_nothing_are_not_warned_of():
    alone = [nn.Parameter(torch.ones(2)) for _ in range(2)]
    losses = {task: each.sum() for task, each in zip("ab", alone, strict=True)}
    backward(losses, PCGrad(["a", "b"]), alone, task_parameters={})
