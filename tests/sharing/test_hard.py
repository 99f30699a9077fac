"""Hard sharing: the known answers of a scheme that does next to nothing."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from motet import sharing
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.tasks import Regression

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


def test_each_task_has_the_last_stages_for_itself_if_asked():
    first, second = stages()
    module = sharing.create("hard", task_layers=1).build([first, second], TASKS, 3)
    states = module(X, TASKS)
    assert_close(states["a"], second(first(X)))
    for task in "bc":
        assert_close(states[task], module.own[task](first(X)))
        assert not torch.allclose(states[task], states["a"])
    assert [len(list(module.task_parameters(task))) for task in TASKS] == [2, 2, 2]


@pytest.mark.parametrize("options", [{"shared_layers": 1}, {"shared_layers": 1, "task_layers": 1}])
def test_numbers_of_stages_may_be_told_from_either_side(options):
    torch.manual_seed(1)
    one = sharing.create("hard", task_layers=1).build(stages(), TASKS, 3)
    torch.manual_seed(1)
    other = sharing.create("hard", **options).build(stages(), TASKS, 3)
    assert_close(one(X, TASKS), other(X, TASKS))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"shared_layers": 3}, "^shared_layers: found 3"),
        ({"task_layers": 2}, "^task_layers: found 2"),
        ({"shared_layers": 1, "task_layers": 0}, "shared_layers: found 1 with task_layers: 0"),
    ],
)
def test_numbers_that_do_not_fit_the_stages_are_told_with_the_stages(options, told):
    fits = rf"{told}, but the encoder has 2 stages \(Linear, Tanh\+Linear\)"
    with pytest.raises(InputError, match=fits):
        sharing.create("hard", **options).build(stages(), TASKS, 3)


def test_an_encoder_of_one_piece_that_should_have_been_split_tells_how():
    whole = nn.TransformerEncoderLayer(4, 2)
    found = (
        r"^task_layers: found 1, but the encoder has 1 stage \(.*\).*, give for the encoder an nn"
    )
    with pytest.raises(InputError, match=found):
        sharing.create("hard", task_layers=1).build([whole], TASKS, 4)


def test_a_shared_layer_before_the_heads_does_not_go_with_layers_of_tasks():
    with pytest.raises(InputError, match="remove one of them"):
        sharing.create("hard", task_layers=1, shared_width=3).build(stages(), TASKS, 3)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("hart", {}, "did you mean 'hard'"),
        ("hard", {"shared_widht": 3}, "did you mean 'shared_width'"),
        ("hard", {"shared_width": 0}, "expected a number > 0"),
        ("hard", {"task_embedding": 0}, "expected a number > 0"),
        ("hard", {"task_embedding": "big"}, "task_embedding"),
        ("hard", {"groups": "ab"}, "groups"),
    ],
)
def test_wrong_use_is_a_clear_error(name, options, message):
    with pytest.raises(InputError, match=message):
        sharing.create(name, **options)


@pytest.mark.parametrize("options", [{}, {"task_layers": 1}])
def test_a_task_may_be_added_later_and_changes_no_other(options):
    scheme = sharing.create("hard", **options)
    model = MultiTaskModel(stages(), [Regression("a"), Regression("b")], sharing=scheme)
    before = model(X)
    model.add_task(Regression("late"))
    after = model(X)
    assert list(after) == ["a", "b", "late"]
    assert all(after[task].equal(raw) for task, raw in before.items())
    if options:
        assert not torch.allclose(
            model.sharing.own["late"][1].weight, model.sharing.own["b"][1].weight
        )


def test_a_task_that_cannot_be_added_changes_nothing():
    model = MultiTaskModel(stages(), [Regression("a")], sharing=sharing.create("soft"))
    with pytest.raises(InputError, match="'late' cannot be added: this sharing scheme takes all"):
        model.add_task(Regression("late"))
    with pytest.raises(InputError, match="two tasks are named 'a'"):
        model.add_task(Regression("a"))
    assert list(model(X)) == ["a"]
