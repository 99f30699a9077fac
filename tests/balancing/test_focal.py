"""Dynamic task prioritisation: known answers (methods, section 6), where κ comes from."""

import math

import pytest
import torch
from steps import step
from torch.testing import assert_close

from motet.balancing.focal import Focal
from motet.problems import InputError

TASKS = ("a", "b")


@pytest.mark.parametrize(
    ("kappa", "gamma", "weight"),
    [(0.5, 1.0, 0.346574), (0.5, 0.0, 0.693147), (1.0, 1.0, 0.0), (0.0, 1.0, 6.900848)],
)
def test_known_weights(kappa, gamma, weight):
    balancer = Focal(["a"], gamma=gamma, scale="paper")
    balancer.observe_scores({"a": kappa})
    assert step(balancer, [1.0]).item() == pytest.approx(weight, abs=2e-6)


@pytest.mark.parametrize(("scale", "total"), [("sum", 2.0), ("mean", 1.0)])
def test_the_weights_sum_to_what_the_scale_says(scale, total):
    balancer = Focal(TASKS, scale=scale)
    balancer.observe_scores({"a": 1.0, "b": 1.0})
    assert step(balancer, [1.0, 1.0]).tolist() == pytest.approx([total / 2] * 2)


def test_without_scores_the_indicator_is_the_likelihood():
    balancer = Focal(TASKS, rate=0.25)
    balancer.set_weight("a", 9.0)  # the indicator does not see it
    step(balancer, [-math.log(0.8), -math.log(0.2)])
    step(balancer, [-math.log(0.4), -math.log(0.6)])
    assert_close(balancer.indicator, torch.tensor([0.7, 0.3]))


def test_scores_take_the_place_of_losses_and_are_averaged():
    balancer = Focal(TASKS, rate=0.25)
    step(balancer, [0.1, 0.1])
    balancer.observe_scores({"a": 0.8, "b": math.nan})
    step(balancer, [5.0, 0.1])
    balancer.observe_scores({"a": 0.4})
    assert_close(balancer.indicator, torch.tensor([0.7, math.exp(-0.1)]))


def test_a_harder_task_counts_more_and_a_larger_gamma_widens_the_gap():
    ratios = []
    for gamma in (0.0, 1.0, 3.0):
        weights = step(Focal(TASKS, gamma=gamma), [2.0, 0.2])
        ratios.append((weights[0] / weights[1]).item())
    assert 1 < ratios[0] < ratios[1] < ratios[2]


@pytest.mark.parametrize("loss", [0.0, 1e6, -3.0])
def test_any_loss_gives_finite_positive_weights(loss):
    weights = step(Focal(TASKS), [loss, 1.0])
    assert weights.isfinite().all()
    assert (weights > 0).all()


def test_a_score_for_no_task_is_a_clear_error():
    with pytest.raises(InputError, match="'z', which is not a task"):
        Focal(TASKS).observe_scores({"z": 0.5})


def test_a_score_in_percent_is_a_clear_error():
    with pytest.raises(InputError, match="the score of 'b' is 85, expected at most 1"):
        Focal(TASKS).observe_scores({"a": 0.5, "b": 85.0})


def test_a_rate_of_one_takes_the_newest_score_alone():
    balancer = Focal(TASKS, rate=1.0)
    for score in (0.9, 0.3):
        balancer.observe_scores({"a": score, "b": 0.5})
    assert_close(balancer.indicator, torch.tensor([0.3, 0.5]))
