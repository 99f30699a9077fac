"""Smooth Tchebycheff: known answers (methods, section 2), nadirs, preferences."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from steps import step
from torch.testing import assert_close

from motet.balancing.stch import STCH
from motet.problems import InputError

TASKS = ("a", "b", "c")
LOSSES = st.lists(st.floats(1e-3, 1e3), min_size=3, max_size=3).map(torch.tensor)


def prepared(tasks, nadir=1.0, **options):
    """Return a balancer whose nadirs are known."""
    balancer = STCH(tasks, **options)
    balancer.nadir.fill_(nadir)
    balancer.seen.fill_(1)
    return balancer


@given(losses=LOSSES, mu=st.floats(0.05, 5))
def test_the_value_lies_between_the_maximum_and_its_bound(losses, mu):
    value = prepared(TASKS, mu=mu)(losses.double()) / 3
    largest = losses.double().log().max()
    assert largest - 1e-6 <= value <= largest + mu * math.log(3) + 1e-6


def test_equal_terms_add_the_logarithm_of_their_number():
    assert_close(
        prepared(("a", "b"))(torch.tensor([5.0, 5.0])) / 2, torch.tensor(5.0).log() + math.log(2)
    )


def test_with_weights_of_1_it_is_the_published_form_for_deep_networks():
    balancer = prepared(("a", "b"))
    balancer.nadir.copy_(torch.tensor([2.0, 0.5]))
    # T log(L_a / z_a + L_b / z_b) = 2 log(3/2 + 2), of which L_a has the slope 2 (1/2) / (7/2)
    assert_close(balancer(torch.tensor([3.0, 1.0])), 2 * torch.tensor(3.5).log())
    assert_close(step(balancer, [3.0, 1.0]), torch.tensor([2 / 7, 8 / 7]).double())


def test_with_preferences_a_small_mu_minimises_the_largest_preferred_ratio():
    balancer = prepared(("a", "b"), mu=1e-3)
    balancer.set_weight("a", 3.0)  # 1.5 and .5 with mean 1
    assert_close(balancer(torch.tensor([1.0, 2.0])) / 2, torch.tensor(1.5).log())


@given(losses=LOSSES)
def test_weights_are_those_of_a_naive_reference(losses):
    balancer = prepared(TASKS, nadir=2.0, mu=0.7)
    balancer.set_weight("a", 4.0)
    preference = [2.0, 0.5, 0.5]  # 4, 1, 1 with mean 1
    plain = losses.double().tolist()
    powers = [(p * x / 2) ** (1 / 0.7) for p, x in zip(preference, plain, strict=True)]
    expected = [3 * power / sum(powers) / x for power, x in zip(powers, plain, strict=True)]
    # the balancer's losses are times the task weights: d total / d losses as reported
    assert_close(step(balancer, losses), torch.tensor(expected).double(), rtol=1e-5, atol=0)


@pytest.mark.parametrize("share", [10.0, 1.0, 0.1, 1e-3])
@pytest.mark.parametrize("mu", [0.05, 1.0, 5.0])
def test_a_preferred_task_counts_more_however_low_its_loss_is(share, mu):
    balancer = prepared(("a", "b"), mu=mu)
    balancer.set_weight("a", 2.0)
    preferred, other = step(balancer, [share, share])
    assert preferred > other


def test_a_small_mu_trains_the_worst_task_alone():
    weights = step(prepared(("a", "b"), mu=1e-3), [1.0, 2.0])
    assert_close(weights, torch.tensor([0.0, 1.0]).double())  # T / L


def test_extreme_losses_do_not_overflow():
    assert step(prepared(("a", "b"), mu=1e-3), [1e-20, 1e20]).isfinite().all()


def test_the_first_losses_are_the_nadir_and_each_task_has_its_own():
    balancer = STCH(TASKS)
    step(balancer, [3.0, 5.0], torch.tensor([1, 2]))
    step(balancer, [7.0, 4.0, 4.0])
    assert balancer.nadir.tolist() == [7.0, 3.0, 5.0]


@pytest.mark.parametrize("loss", [0.0, math.nan, math.inf])
def test_a_loss_that_cannot_be_a_nadir_is_none(loss):
    balancer = STCH(("a", "b"))
    balancer(torch.tensor([loss, 1.0]))
    step(balancer, [4.0, 1.0])
    assert balancer.nadir.tolist() == [4.0, 1.0]


def test_the_nadir_does_not_see_task_weights():
    balancer = STCH(("a", "b"))
    balancer.set_weight("a", 8.0)
    step(balancer, [2.0, 2.0])
    assert balancer.nadir.tolist() == [2.0, 2.0]


def test_warm_up_steps_are_the_plain_sum_and_average_the_losses():
    balancer = STCH(("a", "b"), warmup=2, unit="steps")
    balancer.set_weight("a", 3.0)
    for losses in ([1.0, 4.0], [3.0, 8.0]):
        assert_close(step(balancer, losses), torch.tensor([3.0, 1.0]).double())
    step(balancer, [100.0, 100.0])
    assert balancer.nadir.tolist() == [2.0, 6.0]


def test_warm_up_epochs_average_their_means():
    balancer = STCH(("a", "b"), warmup=2)
    for means in ({"a": 1.0, "b": 4.0}, {"a": 3.0, "b": 8.0}):
        assert_close(step(balancer, [0.1, 0.1]), torch.ones(2).double())
        balancer.end_epoch(means)
    assert step(balancer, [0.1, 0.1]).sum() > 2
    balancer.end_epoch({"a": 9.0})
    assert balancer.nadir.tolist() == [2.0, 6.0]


def test_a_loop_that_never_ends_the_warm_up_is_warned_once():
    balancer = STCH(("a", "b"), warmup=1)
    with pytest.warns(UserWarning, match="still trains on the plain sum") as caught:
        [balancer(torch.tensor([1.0, 1.0])) for _ in range(4100)]
    assert len(caught) == 1


def test_a_negative_loss_is_a_clear_error():
    with pytest.raises(InputError, match="the loss of b is negative"):
        STCH(("a", "b"))(torch.tensor([1.0, -1.0]))
