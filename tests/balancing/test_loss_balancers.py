"""Random, geometric, logarithmic, scaled and averaged losses."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from quick_cases import others_slow
from torch.testing import assert_close

from motet.balancing.dwa import DWA
from motet.balancing.geometric import Geometric
from motet.balancing.imtl_l import IMTLL
from motet.balancing.log import LogLoss
from motet.balancing.random import RLW
from motet.problems import InputError

BALANCERS = {
    "random": RLW,
    "geometric": Geometric,
    "log": LogLoss,
    "imtl_l": IMTLL,
    "dwa": DWA,
}
TASKS = ("a", "b", "c")
LOSSES = st.lists(st.floats(1e-3, 1e3), min_size=3, max_size=3).map(torch.tensor)


def weights_of(balancer, losses, present=None):
    losses = torch.as_tensor(losses, dtype=torch.float64).requires_grad_()
    balancer(losses, present).backward()
    return losses.grad


def every_balancer(function):
    return pytest.mark.parametrize("name", BALANCERS)(function)


# Properties ----------------------------------------------------------------------------------


@given(before=st.lists(LOSSES, max_size=4), after=st.lists(LOSSES, min_size=1, max_size=4))
def test_dwa_over_blocks_of_steps_resumes_as_if_it_had_never_stopped(before, after):
    kept, resumed = (DWA(TASKS, unit="steps") for _ in range(2))
    for losses in before:
        kept(losses)
    resumed.load_state_dict(kept.state_dict())
    for losses in after:
        assert_close(resumed(losses), kept(losses), rtol=0, atol=0)


@every_balancer
@given(losses=LOSSES)
def test_every_task_counts_and_no_weight_is_negative(name, losses):
    weights = weights_of(BALANCERS[name](TASKS), losses)
    assert weights.isfinite().all()
    assert (weights > 0).all()


@every_balancer
def test_a_task_weight_acts_or_is_refused(name):
    balancer, losses = (
        BALANCERS[name](TASKS, **({"seed": 1} if name == "random" else {})),
        [1, 2, 3],
    )
    before = weights_of(balancer, losses)
    if balancer.refuses_weight:
        with pytest.raises(InputError, match=r"takes no weight for 'a'.*use"):
            balancer.set_weight("a", 2.0)
    else:
        fresh = BALANCERS[name](TASKS, **({"seed": 1} if name == "random" else {}))
        fresh.set_weight("a", 2.0)
        assert_close(weights_of(fresh, losses), before * torch.tensor([2.0, 1.0, 1.0]))


@pytest.mark.parametrize("name", ["geometric", "log", "imtl_l"])
def test_a_negative_loss_is_a_clear_error_and_nan_passes(name):
    balancer = BALANCERS[name](TASKS)
    with pytest.raises(InputError, match="the loss of b is negative"):
        balancer(torch.tensor([1.0, -2.0, 3.0]))
    assert balancer(torch.tensor([1.0, torch.nan, 3.0])).isnan()


def test_a_loss_of_zero_has_no_weight_and_the_others_keep_theirs():
    assert_close(weights_of(LogLoss(TASKS), [0.0, 2.0, 4.0]), torch.tensor([0, 0.5, 0.25]).double())
    assert weights_of(Geometric(TASKS), [0.0, 2.0, 4.0]).isfinite().all()


# Known values (methods.md, section 2) --------------------------------------------------------


def test_the_geometric_mean_and_the_weights_it_stands_for():
    """Reporting the inverse weights is a mistake seen elsewhere."""
    losses = torch.tensor([1.0, 4.0])
    assert_close(Geometric(["a", "b"])(losses), torch.tensor(2.0))
    assert_close(weights_of(Geometric(["a", "b"]), losses), torch.tensor([1, 0.25]).double())


def test_64_tiny_losses_have_a_geometric_mean():
    tasks = [f"t{index}" for index in range(64)]
    assert_close(Geometric(tasks)(torch.full((64,), 1e-30)), torch.tensor(1e-30))


def test_the_logarithm_weighs_by_the_inverse_loss():
    assert_close(weights_of(LogLoss(["a", "b"]), [2.0, 0.5]), torch.tensor([0.5, 2.0]).double())


def test_imtl_l_starts_as_the_sum_and_settles_where_all_losses_count_the_same():
    balancer, losses = IMTLL(TASKS), torch.tensor([1.0, 2.0, 4.0])
    assert_close(balancer(losses), torch.tensor(7.0))
    optimizer = torch.optim.Adam(balancer.parameters(), lr=0.05)
    for _ in range(600):
        optimizer.zero_grad()
        balancer(losses).backward()
        optimizer.step()
    assert_close(balancer.log_scale.detach(), -losses.log(), rtol=1e-3, atol=1e-3)
    assert_close(balancer(losses).detach(), (1 + losses.log()).sum(), rtol=1e-5, atol=1e-5)


def test_the_scale_of_a_vanishing_loss_is_bounded_and_comes_back():
    balancer = IMTLL(["a"])
    balancer.log_scale.data.fill_(30.0)
    loss = torch.tensor([1.0], requires_grad=True)
    balancer(loss).backward()
    assert loss.grad.item() == pytest.approx(math.exp(10))
    assert balancer.log_scale.grad.item() > 0  # descending lowers s again


# Random weights ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "distribution", others_slow(["bernoulli"], ["normal", "dirichlet", "bernoulli"])
)
def test_random_weights_sum_to_t_and_average_one(distribution):
    balancer = RLW(TASKS, distribution=distribution)
    draws = torch.stack([weights_of(balancer, [1.0, 1.0, 1.0]) for _ in range(3000)])
    assert_close(draws.sum(dim=1), torch.full((3000,), 3.0).double())
    assert_close(draws.mean(dim=0), torch.ones(3).double(), rtol=0, atol=0.06)
    assert draws.std() > 0.1
    paper = RLW(TASKS, distribution=distribution, scale="paper")
    assert weights_of(paper, [1.0, 1.0, 1.0]).sum().item() == pytest.approx(1)


def test_dirichlet_weights_are_uniform_on_the_simplex():
    balancer = RLW(TASKS, distribution="dirichlet", scale="paper")
    first = torch.stack([weights_of(balancer, [1.0, 1.0, 1.0])[0] for _ in range(3000)])
    for share in (0.2, 0.5, 0.8):  # P(w < x) = 1 - (1 - x)²
        assert (first < share).double().mean().item() == pytest.approx(
            1 - (1 - share) ** 2, abs=0.03
        )


def test_random_weights_depend_on_seed_and_step_alone():
    one, same, other = RLW(TASKS), RLW(TASKS), RLW(TASKS, seed=1)
    torch.manual_seed(1)
    ours = [weights_of(one, [1.0, 2.0, 3.0]) for _ in range(3)]
    torch.manual_seed(2)
    assert_close([weights_of(same, [1.0, 2.0, 3.0]) for _ in range(3)], ours, rtol=0, atol=0)
    assert not torch.equal(ours[0], ours[1])
    assert not torch.equal(weights_of(other, [1.0, 2.0, 3.0]), ours[0])


# DWA -----------------------------------------------------------------------------------------


def test_dwa_weighs_up_the_task_that_falls_slowly():
    balancer = DWA(["a", "b"])
    for means in ({"a": 1.0, "b": 4.0}, {"a": 1.0, "b": 2.0}):
        assert_close(weights_of(balancer, [1.0, 1.0]), torch.ones(2).double())
        balancer.end_epoch(means)
    expected = torch.tensor([1.1244, 0.8756]).double()
    assert_close(weights_of(balancer, [1.0, 1.0]), expected, rtol=0, atol=5e-5)


def test_dwa_compares_blocks_of_steps():
    balancer = DWA(["a", "b"], unit="steps", window=25)
    balancer.set_weight("a", 3.0)  # the ratios do not see it
    for step in range(50):
        losses = torch.tensor([1.0, 4.0 if step < 25 else 2.0])
        expected = torch.tensor([3.0, 1.0]).double()
        assert_close(weights_of(balancer, losses), expected)
    expected = torch.tensor([3 * 1.1244, 0.8756]).double()
    assert_close(weights_of(balancer, [1.0, 2.0]), expected, rtol=0, atol=2e-4)


def test_a_task_weight_changed_on_the_way_is_no_progress_to_dwa():
    balancer = DWA(["a", "b"], unit="steps")
    for weight in (1.0, 5.0):
        balancer.set_weight("a", weight)
        for _ in range(2):
            balancer(torch.tensor([1.0, 1.0]))
    assert_close(weights_of(balancer, [1.0, 1.0]), torch.tensor([5.0, 1.0]).double())


def test_dwa_keeps_what_it_knows_of_an_absent_task():
    balancer = DWA(TASKS)
    for means in ({"a": 2.0, "b": 1.0, "c": 1.0}, {"a": 1.0, "b": 1.0}, {"b": 1.0, "c": 1.0}):
        balancer.end_epoch(means)
    assert_close(balancer.means, torch.tensor([[2.0, 1.0], [1.0, 1.0], [1.0, 1.0]]))


@pytest.mark.parametrize("mean", [0.0, math.nan, math.inf])
def test_dwa_survives_means_it_cannot_divide_by(mean):
    balancer = DWA(["a", "b"])
    for value in (mean, 1.0, mean):
        balancer.end_epoch({"a": value, "b": 1.0})
    assert weights_of(balancer, [1.0, 1.0]).isfinite().all()


def test_a_step_that_is_not_finite_does_not_enter_the_block():
    balancer = DWA(["a"], unit="steps", window=2)
    for loss in (1.0, math.nan, 3.0, 1.0, 1.0):
        balancer(torch.tensor([loss]))
    assert_close(balancer.means, torch.tensor([[2.0, 1.0]]))


def run_steps(balancer, steps):
    for _ in range(steps):
        balancer(torch.tensor([1.0]))


def test_a_loop_that_never_announces_an_epoch_is_warned_once():
    balancer = DWA(["a"])
    with pytest.warns(
        UserWarning, match="no `end_epoch\\(means\\)`: its weights are still 1"
    ) as caught:
        run_steps(balancer, 5000)
    assert len(caught) == 1


def test_a_loop_that_announces_its_epochs_is_not_warned():
    balancer = DWA(["a"])
    balancer.end_epoch({"a": 1.0})
    run_steps(balancer, 2500)  # warnings are errors


def test_wrong_use_of_dwa_is_a_clear_error():
    with pytest.raises(InputError, match="at least 2 epochs"):
        DWA(["a"], window=1)
    with pytest.raises(InputError, match="'z', which is not a task"):
        DWA(["a"]).end_epoch({"z": 1.0})
