"""Every registered scheduler chooses from what it is given, and a resumed one goes on as before."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import motet
from motet.problems import InputError
from motet.registry import SCHEDULERS
from motet.scheduling import All, Progress, Scheduler

TASKS = ("a", "b", "c")


def made(name, **options):
    scheduler = motet.scheduling.create(name, TASKS, **options)
    scheduler.facts.rows = {"a": 1000, "b": 10, "c": 200}
    scheduler.facts.progress = Progress(epoch=9, epochs=10)
    return scheduler


@pytest.mark.parametrize("name", list(SCHEDULERS))
@given(step=st.integers(0, 10_000), tasks=st.sets(st.sampled_from(TASKS), min_size=1))
def test_one_or_more_of_the_given_tasks_are_chosen(name, step, tasks):
    chosen = made(name).tasks_for(step, sorted(tasks))
    assert chosen
    assert set(chosen) <= tasks


@pytest.mark.parametrize("name", list(SCHEDULERS))
@given(before=st.integers(0, 20), after=st.integers(1, 20))
def test_a_resumed_scheduler_goes_on_as_if_it_had_never_stopped(name, before, after):
    kept, resumed = (made(name) for _ in range(2))
    for step in range(before):
        kept.tasks_for(step, TASKS)
    resumed.load_state_dict(kept.state_dict())
    torch.manual_seed(before)  # draws depend on no generator of torch's
    for step in range(before, before + after):
        assert list(resumed.tasks_for(step, TASKS)) == list(kept.tasks_for(step, TASKS))


@pytest.mark.parametrize("name", list(SCHEDULERS))
def test_every_task_trains_sooner_or_later(name):
    scheduler = made(name)
    assert {task for step in range(2000) for task in scheduler.tasks_for(step, TASKS)} == set(TASKS)


def test_all_trains_all_tasks():
    assert All(TASKS).tasks_for(3, ["b", "a"]) == ["b", "a"]


def test_the_interface_is_one_method():
    class Last(Scheduler):
        def tasks_for(self, step: int, tasks: Sequence[str]) -> Sequence[str]:
            return tasks[-1:]

    assert Last(TASKS).tasks_for(0, TASKS) == ("c",)
    with pytest.raises(TypeError, match="tasks_for"):
        Scheduler(TASKS)


def test_what_is_registered_must_make_a_scheduler(monkeypatch):
    monkeypatch.setitem(SCHEDULERS._places, "wrong", lambda tasks: nn.Identity())
    with pytest.raises(InputError, match=r"'wrong': found an Identity; expected a scheduler"):
        motet.scheduling.create("wrong", TASKS)
    with pytest.raises(InputError, match="no scheduler is named 'al'; did you mean 'all'"):
        motet.scheduling.create("al", TASKS)
