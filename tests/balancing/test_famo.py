"""FAMO: known answers (methods, section 2), the two ways to see the losses after a step."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from steps import step
from torch.testing import assert_close

from motet.balancing import backward
from motet.balancing.famo import FAMO
from motet.problems import InputError

TASKS = ("a", "b", "c")
LOSSES = st.lists(st.floats(1e-2, 1e2), min_size=3, max_size=3).map(torch.tensor)


def trained(steps, **options):
    balancer = FAMO(TASKS, **options)
    for losses in steps:
        step(balancer, losses)
    return balancer


def reference(steps, gamma=0.01, rate=0.025):
    """ξ after some steps with the losses of the next: torch's Adam on the paper's δ."""
    xi = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([xi], lr=rate, weight_decay=gamma)
    for before, after in pairwise(steps):
        change = (before.double() + 1e-8).log() - (after.double() + 1e-8).log()
        (xi.grad,) = torch.autograd.grad(torch.softmax(xi, dim=0), xi, change)
        optimizer.step()
    return xi.detach()


@given(steps=st.lists(LOSSES, min_size=1, max_size=6))
def test_the_losses_of_the_next_step_teach_as_in_a_naive_reference(steps):
    xi = trained(steps).logits
    assert_close(xi.double(), reference(steps), rtol=1e-3, atol=1e-4)


def test_losses_after_the_step_teach_with_exact_and_the_next_batch_does_not():
    balancer = FAMO(TASKS, exact=True)
    batches = torch.tensor([[[1.0, 2.0, 3.0], [0.5, 1.9, 3.1]], [[9.0, 1.0, 4.0], [8.0, 1.0, 2.0]]])
    xi = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([xi], lr=0.025, weight_decay=0.01)
    for before, after in batches.double():
        step(balancer, before)
        balancer.after_step(dict(zip(TASKS, after, strict=True)))
        change = before.log() - after.log()
        (xi.grad,) = torch.autograd.grad(torch.softmax(xi, dim=0), xi, change)
        optimizer.step()
    assert_close(balancer.logits.double(), xi.detach(), rtol=1e-4, atol=1e-6)


@given(losses=LOSSES, factor=st.floats(0.1, 0.9))
def test_equal_decreases_of_the_logarithm_leave_all_as_it_is(losses, factor):
    balancer = trained([losses, losses * factor], gamma=0.0, learning_rate=1e-9)
    change = balancer.moments[:, 0] / 0.1  # the gradient of the one step: δ
    assert_close(change, torch.zeros(3), rtol=0, atol=1e-5)


def test_the_task_that_falls_slowly_is_weighed_up():
    steps = [torch.tensor([0.9**k, 0.99**k, 0.9**k]) for k in range(20)]
    z = trained(steps).logits.softmax(dim=0)
    assert z[1] > z[0]
    assert_close(z[0], z[2])


@pytest.mark.parametrize(("scale", "total"), [("sum", 3.0), ("mean", 1.0), ("paper", 1.0)])
def test_the_weights_sum_to_what_the_scale_says(scale, total):
    weights = step(FAMO(TASKS, scale=scale), [1.0, 2.0, 4.0])
    assert weights.sum().item() == pytest.approx(total)
    assert_close(weights / weights[0], torch.tensor([1.0, 0.5, 0.25]).double())


def test_a_factor_on_a_loss_leaves_the_direction():
    def direction(factor):
        balancer = FAMO(["a", "b"], learning_rate=0.1)
        x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
        for _ in range(5):
            x.grad = None
            backward({"a": factor * (x**2).sum(), "b": ((x - 3) ** 4).sum()}, balancer)
            unit = x.grad / x.grad.norm()
            x = (x - 0.1 * unit).detach().requires_grad_()
        return unit

    assert_close(direction(1000.0), direction(1.0), rtol=1e-5, atol=1e-5)


def test_only_tasks_before_and_after_a_step_learn():
    balancer = FAMO(TASKS)
    step(balancer, [1.0, 1.0], torch.tensor([0, 1]))
    step(balancer, [2.0, 3.0], torch.tensor([1, 2]))
    assert balancer.moments[:, 2].tolist() == [0, 1, 0]
    step(balancer, [2.0, 3.0], torch.tensor([0, 1]))
    assert balancer.moments[:, 2].tolist() == [0, 2, 0]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_teaches_nothing(bad):
    balancer = FAMO(TASKS)
    for losses in ([1.0, 1.0, 1.0], [bad, 1.0, 1.0], [1.0, 1.0, 1.0]):
        balancer(torch.tensor(losses))
    assert balancer.logits.isfinite().all()
    assert balancer.moments[0, 2] == 0


def test_a_loss_below_its_bound_is_a_clear_error():
    with pytest.raises(InputError, match="loss of 'b' is -3, below its lower bound 0; give lower"):
        FAMO(TASKS)(torch.tensor([1.0, -3.0, 1.0]))
    balancer = FAMO(TASKS, lower_bounds={"b": -4.0})
    assert balancer(torch.tensor([1.0, -3.0, 1.0])).isfinite()


def test_a_loop_that_never_tells_the_losses_after_is_warned_once():
    balancer = FAMO(TASKS, exact=True)
    with pytest.warns(UserWarning, match=r"100 steps and no `after_step\(losses\)`") as caught:
        [balancer(torch.ones(3)) for _ in range(300)]
    assert len(caught) == 1
