"""Soft sharing whose groups change while training ties the tasks of each current group alone."""

import copy

import pytest
import torch
from schemes import TASKS, WIDTH, X, backbone, module
from torch import nn
from torch.testing import assert_close

import motet
from motet import sharing
from motet.problems import InputError
from motet.sharing.tied import tied_in

FOUND = {"by": "performance", "number": 2}
KINDS = ["l2", "trace_norm", "group_lasso"]


def moved(found):
    """Networks start equal; move them apart."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in found.parameters():
            parameter += torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return found


def test_networks_start_from_the_same_weights():
    states = module("soft", groups=FOUND)(X, TASKS)
    assert states["a"].equal(states["b"])
    assert states["a"].equal(states["c"])


def test_all_tasks_are_one_group_at_first():
    found = moved(module("soft", groups=FOUND))
    assert found.groups == [["a", "b", "c"]]
    plain = module("soft")
    plain.load_state_dict(found.state_dict(), strict=False)
    assert_close(found.penalty(), plain.penalty())


@pytest.mark.parametrize("tasks", [None, ["a", "b"], ["b"]])
@pytest.mark.parametrize("kind", KINDS)
def test_the_penalty_is_that_of_each_group_alone(kind, tasks):
    found = moved(module("soft", groups=FOUND, regularizer=kind))
    plain = module("soft", regularizer=kind)
    plain.load_state_dict(found.state_dict(), strict=False)
    found.regroup([["a", "c"], ["b"]])
    asked = [[t for t in group if tasks is None or t in tasks] for group in (["a", "c"], ["b"])]
    expected = [plain.penalty(group) for group in asked if group]
    assert_close(found.penalty(tasks), sum(each for each in expected if each is not None) or None)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_proximal_step_joins_the_tasks_of_a_group_alone(kind):
    found = moved(module("soft", groups=FOUND, regularizer=kind, proximal=True, strength=0.5))
    plain = module("soft", regularizer=kind, proximal=True, strength=0.5)
    plain.load_state_dict(found.state_dict(), strict=False)
    found.regroup([["a", "c"], ["b"]])
    found.after_step(0.1)
    for group in (["a", "c"], ["b"]):
        plain.after_step(0.1, group)
    for name, value in plain.state_dict().items():
        assert_close(found.state_dict()[name], value, rtol=0, atol=0)


def test_groups_are_part_of_the_state():
    found, other = module("soft", groups=FOUND), module("soft", groups=FOUND, seed=1)
    found.regroup([["a", "c"], ["b"]])
    other.load_state_dict(found.state_dict())
    assert other.groups == copy.deepcopy(found).groups == [["a", "c"], ["b"]]
    assert other.describe()["groups"] == [["a", "c"], ["b"]]


def test_lists_of_tasks_are_groups_in_python_too():
    from motet.sharing.soft import Soft

    torch.manual_seed(0)
    found = Soft(groups=[["a", "c"], ["b"]]).build(backbone(), TASKS, WIDTH)
    assert list(found.describe()) == ["a, c", "b"]
    assert tied_in(found) is None


def model(by, heads=(1, 1, 1)):
    torch.manual_seed(0)
    tasks = [
        motet.tasks.Regression(name, outputs=count)
        for name, count in zip(TASKS, heads, strict=True)
    ]
    scheme = sharing.create("soft", groups={"by": by, "number": 2})
    return motet.MultiTaskModel(nn.Sequential(nn.Linear(4, 6), nn.ReLU()), tasks, sharing=scheme)


def test_by_gradients_heads_start_alike():
    raw = model("gradients")(X.float())
    assert raw["a"].equal(raw["b"])
    assert raw["a"].equal(raw["c"])


def test_otherwise_heads_are_drawn_for_each_task():
    raw = model("performance", heads=(1, 1, 2))(X.float())
    assert not raw["a"].equal(raw["b"])


def test_heads_of_different_shapes_cannot_be_compared_by_gradients():
    with pytest.raises(
        InputError, match=r"different shapes \(a, b; c\).*by: performance, or by: d"
    ):
        model("gradients", heads=(1, 1, 2))


@pytest.mark.parametrize("name", ["hard", "mmoe", "cross_stitch", "progressive"])
def test_schemes_whose_shape_would_change_refuse(name):
    with pytest.raises(InputError, match=r"shape would change.*suggest_groups\(\).*sharing: soft"):
        sharing.create(name, groups=FOUND)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": {"by": "gradients", "number": 3}}, "fewer groups than tasks"),
        ({"groups": {"by": "gradients", "number": 1}}, "groups"),
        ({"groups": {"by": "labels", "number": 2}}, "groups"),
        ({"groups": {"by": "data"}}, "groups"),
        ({"groups": {"by": "data", "number": 2, "each": 2}}, "groups"),
        ({"groups": {"by": "data", "number": 2, "every": 0}}, "groups"),
        ({"groups": {"by": "gradients", "number": 2}, "task_embedding": 4}, "task_embedding"),
        ({"groups": FOUND, "regularizer": "elastic_net"}, "elastic_net', which ties no tasks"),
        ({"groups": FOUND, "strength": 0.0}, "strength 0, which ties no tasks"),
        ({"groups": [["a", "b"], ["c"]], "regularizer": "elastic_net"}, "which ties no tasks"),
        ({"groups": [["a", "b"], ["c"]], "strength": 0.0}, "strength 0, which ties no tasks"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        sharing.create("soft", **options).build(backbone(), TASKS, WIDTH)


def test_with_an_embedding_of_tasks_groups_are_found_by_what_they_compute():
    found = module("soft", groups=FOUND, task_embedding=4)
    tied = tied_in(found)
    tied.regroup([["a", "c"], ["b"]])
    assert found.penalty() is not None
    assert found(X, TASKS).keys() == {*TASKS}


@pytest.mark.parametrize("groups", [None, FOUND])
@pytest.mark.parametrize(("stages", "layers"), [([nn.ReLU()], None), ([nn.ReLU(), None], [1])])
def test_stages_without_weights_cannot_be_tied(groups, stages, layers):
    stages = [each or nn.Linear(WIDTH, WIDTH) for each in stages]
    scheme = sharing.create("soft", groups=groups, layers=layers)
    with pytest.raises(InputError, match="without weights, so that nothing is tied"):
        scheme.build(stages, TASKS, WIDTH)
