"""A step that a user compiles as a whole does what it does without, with every balancer."""

import shutil

import pytest
import torch
from graphs import assert_gradients, data, linear
from quick_cases import others_slow
from torch import nn
from torch._functorch import config as functorch
from torch.testing import assert_close

from motet.balancing import (
    GradNorm,
    JacobianBalancer,
    LossBalancer,
    PCGrad,
    available,
    backward,
    combine,
    create,
)
from motet.problems import InputError

TASKS = ("a", "b", "c")
KINDS = ["uncertainty", "famo", "meta", "pcgrad", "graddrop"]
"""One of each kind. Compiling takes seconds, so each test has some of them in each run."""

pytestmark = pytest.mark.filterwarnings("ignore")
"""While torch traces, its own warnings would be errors inside."""


@pytest.fixture(autouse=True)
def compiled_anew():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Sequential(linear(3, 4), nn.Tanh(), linear(4, 4), nn.Tanh())
        self.heads = nn.ModuleList(linear(4, 1) for _ in TASKS)

    def losses(self, x):
        z = self.encoder(x)
        heads = enumerate(zip(TASKS, self.heads, strict=True))
        return {task: (head(z) - k).pow(2).mean() for k, (task, head) in heads}


def made(name):
    more = {"manual": {"weights": {"a": 1.0, "b": 0.5, "c": 3.0}}, "gradnorm": {"layer": "all"}}
    return create(name, TASKS, **more.get(name, {}))


def trained(name, backend):
    """Weights and the balancer's state after some steps of a user's own loop."""
    net, balancer = Net(), made(name)
    both = nn.ModuleList([net, balancer])
    optimizer = torch.optim.SGD(both.parameters(), lr=0.05, momentum=0.9)

    def step(x):
        optimizer.zero_grad()
        if balancer.needs.looks_ahead:
            balancer.look_ahead(net, optimizer, lambda: net.losses(x), lambda: net.losses(x))
        penalty = 0.01 * net.encoder[0].weight.square().sum()
        result = backward(net.losses(x), balancer, net.encoder, penalty=penalty)
        optimizer.step()
        if balancer.needs.after_step:
            with torch.no_grad():
                balancer.after_step(net.losses(x))
        if balancer.needs.epochs:
            balancer.end_epoch({task: 1.0 + k for k, task in enumerate(TASKS)})
        if balancer.needs.scores:
            balancer.observe_scores({task: 0.2 * (k + 1) for k, task in enumerate(TASKS)})
        return result.total

    run = step if backend is None else torch.compile(step, backend=backend)
    for k in range(2):
        run(data(6, 3) + k)
    return both.state_dict()


def assert_same_training(name, backend):
    expected, found = trained(name, None), trained(name, backend)
    for key, value in expected.items():
        assert_close(found[key], value, msg=key)


@pytest.mark.parametrize("name", others_slow(["graddrop"], available()))
def test_a_compiled_step_trains_as_a_plain_one(name):
    assert_same_training(name, "eager")


@pytest.mark.parametrize("name", others_slow(["pcgrad"], KINDS))
def test_a_compiled_step_trains_as_a_plain_one_where_losses_are_one_node_of_the_graph(name):
    assert_same_training(name, "aot_eager")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
@pytest.mark.parametrize("name", ["uncertainty", "pcgrad", "graddrop"])
def test_a_step_in_machine_code_trains_as_a_plain_one(name, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    assert_same_training(name, "inductor")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_kernels_that_overwrite_buffers_are_not_taken_from_the_cache_on_disk(tmp_path, monkeypatch):
    """A run with a balancer of losses, then one with another: its later passes would be wrong."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    net = Net()
    with (
        functorch.patch(donated_buffer=True),  # monkeypatch would hide torch's settings afterwards
        torch.compiler.config.patch(cache_key_tag=""),
    ):
        sum(torch.compile(net.losses)(data(6, 3)).values()).backward()
    torch._dynamo.reset()
    net.zero_grad()
    backward(net.losses(data(6, 3)), PCGrad(TASKS), net.encoder)
    expected = [leaf.grad for leaf in net.parameters()]
    net.zero_grad()
    backward(torch.compile(net.losses)(data(6, 3)), PCGrad(TASKS), net.encoder)
    assert_gradients(list(net.parameters()), expected)


@pytest.mark.parametrize("name", others_slow(["uncertainty"], available()))
def test_balancers_and_combine_are_called_in_compiled_code_as_outside(name):
    jacobian = torch.tensor([[3.0, 0.0, 1.0], [-1.0, 4.0, 0.5], [0.2, -1.0, 2.0]])
    losses = torch.tensor([1.0, 2.0, 0.5])

    def alone(balancer, jacobian, losses):
        if isinstance(balancer, LossBalancer):
            return balancer(losses * 1.0) + 1
        if isinstance(balancer, JacobianBalancer):
            return balancer(jacobian * 1.0, losses) + 1
        return balancer(jacobian @ jacobian.T, losses) + 1

    def both(balancer, jacobian, losses):
        if name == "gradient_ratio":
            return alone(balancer, jacobian, losses)
        return alone(balancer, jacobian, losses), combine(jacobian * 2, balancer, losses) + 1

    found = []
    for function in (both, torch.compile(both, backend="eager")):
        balancer = made(name)
        balancer.set_weight("a", 1.0 if balancer.refuses_weight else 2.0)
        if balancer.needs.looks_ahead:
            net = Net()
            sgd = torch.optim.SGD(net.parameters(), lr=0.1)
            x = data(6, 3)
            balancer.look_ahead(net, sgd, lambda: net.losses(x), lambda: net.losses(x))  # noqa: B023
        found.append(function(balancer, jacobian, losses))
    assert_close(found[1], found[0])


# What a compiled module hides --------------------------------------------------------------------


def test_what_is_shared_must_be_given_where_all_losses_come_out_of_one_module():
    """Heads would be balanced as shared parameters."""
    net = Net()
    losses = torch.compile(net.losses, backend="aot_eager")
    for options in ({}, {"at": "representation"}):
        with pytest.raises(InputError, match="graph does not show which parameters tasks share"):
            backward(losses(data(6, 3)), PCGrad(TASKS), **options)
    with pytest.raises(InputError, match="graph does not show which parameters tasks share"):
        backward(losses(data(6, 3)), GradNorm(TASKS, layer="all"))
    assert all(leaf.grad is None for leaf in net.parameters())
    backward(losses(data(6, 3)), PCGrad(TASKS), net.encoder)
    found = [leaf.grad for leaf in net.parameters()]
    net.zero_grad()
    backward(net.losses(data(6, 3)), PCGrad(TASKS))
    assert_gradients(list(net.parameters()), found)


@pytest.mark.parametrize("options", [{}, {"at": "representation"}, {"memory": "low"}])
def test_what_is_shared_is_found_where_the_encoder_alone_is_compiled(options):
    net = Net()
    backward(net.losses(data(6, 3)), PCGrad(TASKS), **options)
    expected = [leaf.grad for leaf in net.parameters()]
    net.zero_grad()
    plain, net.encoder = net.encoder, torch.compile(net.encoder, backend="aot_eager")
    losses = net.losses(data(6, 3))
    net.encoder = plain
    backward(losses, PCGrad(TASKS), **options)
    assert_gradients(list(net.parameters()), expected)


@pytest.mark.parametrize("name", ["gradnorm", "gradient_ratio"])
def test_the_last_layer_is_not_guessed_behind_a_compiled_module(name):
    net = Net()
    encoder = torch.compile(net.encoder, backend="aot_eager")
    z = encoder(data(6, 3))
    losses = {task: head(z).pow(2).mean() for task, head in zip(TASKS, net.heads, strict=True)}
    with pytest.raises(InputError, match='does not show which that is; create it with layer="all"'):
        backward(losses, create(name, TASKS))


def test_second_derivatives_of_a_compiled_module_are_refused_with_a_remedy():
    net = Net()
    losses = torch.compile(net.losses, backend="aot_eager")(data(6, 3))
    balancer = create("gradient_ratio", TASKS, layer="all")
    with pytest.raises(InputError, match=r"Leave torch.compile out"):
        backward(losses, balancer, net.encoder)
    assert all(leaf.grad is None for leaf in net.parameters())
