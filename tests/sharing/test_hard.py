"""Hard sharing, and what holds for every scheme."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from motet import sharing
from motet.problems import InputError

TASKS = ("a", "b", "c")
X = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))


def stages():
    torch.manual_seed(0)
    return [nn.Linear(4, 6), nn.Sequential(nn.Tanh(), nn.Linear(6, 3))]


def test_all_tasks_see_what_the_encoder_gives():
    first, second = stages()
    module = sharing.create("hard").build([first, second], TASKS, 3)
    states = module(X, TASKS)
    for task in TASKS:
        assert_close(states[task], second(first(X)))
    assert module.width == 3


def test_the_encoder_runs_once_however_many_tasks_there_are():
    calls = []
    first, second = stages()
    first.register_forward_hook(lambda *_: calls.append(1))
    sharing.create("hard").build([first, second], TASKS, 3)(X, TASKS)
    assert len(calls) == 1


def test_one_more_shared_layer_can_come_before_the_heads():
    first, second = stages()
    module = sharing.create("hard", shared_width=7).build([first, second], TASKS, 3)
    layer = module.stages[-1][0]
    expected = (second(first(X)) @ layer.weight.T + layer.bias).clamp(min=0)
    assert_close(module(X, ["a"])["a"], expected)
    assert module.width == 7


@pytest.mark.parametrize("name", sharing.available())
def test_a_scheme_computes_the_tasks_asked_for_in_its_width(name):
    module = sharing.create(name).build(stages(), TASKS, 3)
    states = module(X, ("c", "a"))
    assert list(states) == ["c", "a"]
    assert all(state.shape == (5, module.width) for state in states.values())
    assert module.penalty() is None or module.penalty().dim() == 0


@pytest.mark.parametrize("name", sharing.available())
def test_only_its_own_task_reaches_the_parameters_of_a_task(name):
    module = sharing.create(name).build(stages(), TASKS, 3)
    module(X, TASKS)["a"].sum().backward()
    for task in ("b", "c"):
        assert all(p.grad is None or not p.grad.any() for p in module.task_parameters(task))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("hart", {}, "did you mean 'hard'"),
        ("hard", {"shared_widht": 3}, "did you mean 'shared_width'"),
        ("hard", {"shared_width": 0}, "expected a number > 0"),
    ],
)
def test_wrong_use_is_a_clear_error(name, options, message):
    with pytest.raises(InputError, match=message):
        sharing.create(name, **options)
