"""Priorities of tasks, and those that a balancer was made with."""

import pytest
from torch import nn

from motet.balancing import PCD
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.tasks import Regression
from motet.training import Trainer


def model():
    tasks = [Regression("safety", priority="high"), Regression("comfort")]
    return MultiTaskModel(nn.Linear(3, 4), tasks)


def test_a_balancer_that_was_made_with_the_priorities_of_the_tasks_is_accepted():
    balancer = PCD(["safety", "comfort"], priorities={"safety": "high"})
    assert Trainer(model(), balancer).balancer is balancer
    assert Trainer(model(), "pcd").balancer.levels == balancer.levels


@pytest.mark.parametrize("priorities", [{"comfort": "high"}, ["comfort", "safety"], None])
def test_a_balancer_that_was_made_with_other_priorities_is_refused(priorities):
    balancer = PCD(["safety", "comfort"], priorities=priorities)
    with pytest.raises(InputError, match=r"task 'safety': .*found high, but the balancer PCD was"):
        Trainer(model(), balancer)
