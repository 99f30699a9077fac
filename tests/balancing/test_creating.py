"""A balancer made for tasks knows what they say; one made for names knows their names."""

import copy

import pytest
import torch
from torch import nn

from motet.balancing import Equal, available, backward, create
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.registry import BALANCERS
from motet.tasks import Classification, MultiLabel, Regression
from motet.training import Trainer

OPTIONS = {"manual": {"weights": {"c": 1.0, "r": 1.0}}}


def tasks(**options):
    return [Classification("c", classes=2, **options), Regression("r", loss="mae")]


def model(**options):
    return MultiTaskModel(nn.Linear(3, 4), tasks(**options))


def losses():
    return {"c": torch.tensor(1.0, requires_grad=True), "r": torch.tensor(1.0, requires_grad=True)}


@pytest.mark.parametrize("given", [tasks(weight=5.0), model(weight=5.0).tasks])
def test_weights_come_with_tasks(given):
    result = backward(losses(), create("equal", tasks=given))
    assert {task: float(weight) for task, weight in result.weights.items()} == {"c": 5, "r": 1}


def test_names_come_without_weights():
    balancer = create("equal", tasks=model(weight=5.0).tasks.names)
    assert [balancer.weight(task) for task in "cr"] == [1, 1]


def test_what_a_balancer_reads_of_tasks_comes_with_them_where_options_leave_it_open():
    assert create("uncertainty", tasks=tasks()).kinds == ["classification", "laplace"]
    given = create("uncertainty", tasks=tasks(), kinds={"r": "regression"})
    assert given.kinds == ["classification", "regression"]
    assert create("meta", tasks=tasks(main=True)).main == ["c"]
    assert create("meta", tasks=tasks(main=True), main=["r"]).main == ["r"]


def test_a_weight_that_changes_is_that_of_epoch_1():
    balancer = create("equal", tasks=tasks(weight={"from": 2.0, "to": 0.5, "epochs": [1, 4]}))
    assert balancer.weight("c") == 2


@pytest.mark.parametrize("name", available())
def test_a_weight_that_a_balancer_would_undo_is_refused(name):
    options = OPTIONS.get(name, {})
    if create(name, ["c", "r"], **options).refuses_weight:
        with pytest.raises(InputError, match="takes no weight for 'c'"):
            create(name, tasks(weight=5.0), **options)
    else:
        assert create(name, tasks(weight=5.0), **options).weight("c") == 5


@pytest.mark.parametrize("weight", [5.0, 0.3, {"from": 2.0, "to": 0.5, "epochs": [1, 4]}])
def test_a_trainer_counts_the_weights_of_tasks_once(weight):
    by_name = Trainer(model(weight=weight), "equal")
    for_tasks = Trainer(model(weight=weight), create("equal", tasks=model(weight=weight).tasks))
    for trainer in (by_name, for_tasks):
        trainer.stages.weigh(trainer.model.tasks, 3)
    assert for_tasks.balancer.weight("c") == by_name.balancer.weight("c")


def test_a_trainer_multiplies_weights_that_were_set_beside_those_of_tasks():
    balancer = create("equal", tasks=tasks(weight=5.0))
    balancer.set_weight("c", 15.0)
    balancer.set_weight("r", 2.0)
    trainer = Trainer(model(weight=5.0), copy.deepcopy(balancer))
    assert [trainer.balancer.weight(task) for task in "cr"] == [15, 2]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("cr", "'cr'"),
        (Regression("r"), "a Regression"),
        (model(), "a MultiTaskModel"),
        ({"c": 1.0}, "a dict"),
        (iter(["c"]), "a list_iterator"),
        (3, "3"),
        ([Regression("r"), "c"], r"\[Regression\('r', outputs=1\), 'c'\]"),
        (["c", 3], r"\['c', 3\]"),
        ([], r"\[\]"),
    ],
)
def test_what_is_neither_tasks_nor_names_is_refused(given, found):
    with pytest.raises(InputError, match=f"^tasks: found {found}, expected one or more names"):
        create("equal", given)


def test_tasks_of_all_kinds_are_known_without_being_named_here():
    kinds = create("uncertainty", [MultiLabel("m", classes=3), Regression("r")]).kinds
    assert kinds == ["classification", "regression"]


def test_a_function_of_ones_own_gets_names(monkeypatch):
    seen = []

    def mine(tasks):
        seen.append(tasks)
        return Equal(tasks)

    monkeypatch.setitem(BALANCERS._places, "mine", mine)
    assert create("mine", tasks(weight=5.0)).weight("c") == 5
    assert seen == [["c", "r"]]
