"""What every registered balancer remembers stays precise when the model around it does not."""

import warnings

import pytest
import quick_cases
import torch
from quick_cases import others_slow
from steps import look_ahead
from torch import nn
from torch.testing import assert_close

from motet.balancing import GradNorm, Uncertainty, available, backward, create

TASKS = ("a", "b", "c")
OPTIONS = {"manual": {"weights": {"a": 1.0, "b": 0.5, "c": 3.0}}}
CASTS = {
    "bfloat16()": nn.Module.bfloat16,
    "half()": nn.Module.half,
    "to(dtype)": lambda module: module.to(torch.bfloat16),
    "type(dtype)": lambda module: module.type(torch.float16),
}


def make(name):
    return create(name, TASKS, **OPTIONS.get(name, {}))


def state_of(balancer):
    return [*balancer.parameters(), *balancer.buffers()]


def train(balancer, between=lambda balancer: None, dtype=torch.float32):
    """Train a small model for six steps, with something done in between; return all gradients."""
    draw = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 5), nn.Tanh()).to(dtype)
    heads = nn.ModuleDict({task: nn.Linear(5, 1) for task in TASKS}).to(dtype)
    parameters = [*encoder.parameters(), *heads.parameters()]
    optimizer = torch.optim.SGD([*parameters, *balancer.parameters()], lr=0.1)
    seen = []
    for number in range(6):
        if number == 3:
            between(balancer)
        x = torch.randn(8, 4, generator=draw).to(dtype)
        states = encoder(x)
        losses = {
            task: (heads[task](states).squeeze(1) - (place + 1) * x[:, place]).square().mean()
            for place, task in enumerate(TASKS)
        }
        look_ahead(balancer, TASKS)
        optimizer.zero_grad()
        backward(losses, balancer, shared=encoder.parameters())
        seen.append(torch.cat([parameter.grad.flatten() for parameter in parameters]))
        optimizer.step()
        if hasattr(balancer, "end_epoch"):
            balancer.end_epoch({task: loss.item() for task, loss in losses.items()})
    return torch.stack(seen)


@pytest.mark.parametrize("cast", CASTS.values(), ids=CASTS)
@pytest.mark.parametrize("name", others_slow(quick_cases.BALANCERS, available()))
def test_a_balancer_acts_as_before_when_a_module_that_holds_it_is_cast(name, cast):
    assert_close(
        train(make(name), lambda balancer: cast(nn.ModuleList([balancer]))),
        train(make(name)),
        rtol=0,
        atol=0,
    )


@pytest.mark.parametrize("name", others_slow(quick_cases.BALANCERS, available()))
def test_a_balancer_that_became_float64_acts_as_before(name):
    found = train(make(name), lambda balancer: nn.ModuleList([balancer]).double())
    assert_close(found, train(make(name)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", others_slow(quick_cases.BALANCERS, available()))
def test_state_made_under_a_narrow_default_dtype_is_wide(name):
    torch.set_default_dtype(torch.bfloat16)
    try:
        balancer = make(name)
    finally:
        torch.set_default_dtype(torch.float32)
    assert_close(train(balancer), train(make(name)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", available())
def test_state_is_wide_beside_a_narrow_model(name, dtype):
    balancer = make(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert train(balancer, dtype=dtype).isfinite().all()
    kinds = {each.dtype for each in state_of(balancer) if each.is_floating_point()}
    assert kinds <= {torch.float32, torch.float64}


def test_a_cast_with_a_move_moves_state_and_keeps_its_precision():
    holder = nn.ModuleList([GradNorm(TASKS), Uncertainty(TASKS)])
    holder.to("meta", torch.bfloat16)
    for each in [*holder.parameters(), *holder.buffers()]:
        assert (each.device.type, each.dtype) == ("meta", torch.float32)


def test_a_cast_keeps_the_parameter_that_an_optimizer_has():
    balancer = Uncertainty(TASKS)
    before = balancer.log_variance
    balancer.log_variance.grad = torch.full((3,), 1 / 3)
    nn.ModuleList([balancer]).bfloat16()
    assert balancer.log_variance is before
    assert_close(balancer.log_variance.grad, torch.full((3,), 1 / 3), rtol=0, atol=0)
