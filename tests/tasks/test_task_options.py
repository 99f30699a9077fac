import inspect

import pytest
import torch

import motet
from motet.options import AUXILIARY_DEFAULTS, TASK_DEFAULTS, read_options
from motet.problems import InputError
from motet.registry import AUXILIARY, HEADS, LOSSES, TASKS
from motet.tasks import Classification, MultiLabel, Regression, create
from motet.tasks.text_auxiliary import TextAuxiliary

MEMBERS = [
    (registry, name)
    for registry in (TASKS, HEADS, LOSSES)
    for name in registry
    if isinstance(registry.place(name), str)
]


@pytest.mark.parametrize(("registry", "name"), MEMBERS)
def test_options_read_from_source_are_those_of_the_signature(registry, name):
    options = {option.name: option for option in read_options(registry, name)}
    parameters = inspect.signature(registry[name]).parameters
    own = {n: p for n, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
    common = set(TASK_DEFAULTS) if registry is TASKS else set()
    if name in AUXILIARY:
        extra = {"input"} if issubclass(registry[name], TextAuxiliary) else set()
        common = {*AUXILIARY_DEFAULTS, *extra}
    hidden = set(own) - set(options)
    by_task = {"class_weights", "pos_weight", "log_size", "reduction"}
    python = (
        by_task if registry is LOSSES else {"scaling", "log_scale", "decode", "vocabulary", "cells"}
    )
    assert hidden <= python
    assert set(options) == (set(own) - hidden) | common
    for option in set(own) - hidden:
        given = own[option].default is not inspect.Parameter.empty
        assert options[option].required != given
        assert not given or options[option].default == own[option].default


@pytest.mark.parametrize(("registry", "name"), MEMBERS)
def test_every_option_is_described(registry, name):
    assert [o.name for o in read_options(registry, name) if not o.description] == []


def test_scaling_cannot_be_given_in_a_config():
    assert "scaling" not in {option.name for option in read_options(TASKS, "regression")}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Classification("a", classes=2, loss="focal", label_smoothing=0.1), "label_smooth"),
        (lambda: Classification("a", classes=2, gamma=1.0), "gamma: applies only with loss: focal"),
        (
            lambda: Classification("a", classes=2, loss=max, class_weights=[1.0, 2.0]),
            "class_weights: applies only with loss: cross_entropy or focal",
        ),
        (lambda: Regression("a", delta=1.0), "delta: applies only with loss: huber"),
        (lambda: MultiLabel("a", classes=2, loss=max, pos_weight=[1.0, 2.0]), "pos_weight"),
        (lambda: MultiLabel("a", column="b", columns="b_*"), "expected one of them"),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Classification("a", classes=1), "found 1, expected a number >= 2"),
        (lambda: Classification("a", classes=["x"]), "classes: found 1 names, expected at least 2"),
        (lambda: Classification("a", classes=["x", "x"]), "'x' twice"),
        (
            lambda: Classification("a", classes=3, class_weights=[1.0]),
            "class_weights: found 1 number, expected 3",
        ),
        (lambda: Classification("a", class_weights="balanced"), "number of classes is not known"),
        (lambda: Classification("a", classes=2, clases=3), "did you mean 'classes'"),
        (lambda: Classification("a", classes=2, loss="mse"), "does not fit here"),
        (lambda: Classification("a", classes=2, weight=0.0), "weight: found 0.0, expected"),
        (lambda: Classification("a", classes=2, metrics=["acuracy"]), "did you mean 'accuracy'"),
        (lambda: Classification("a", classes=2, metrics="accuracy"), "metrics"),
        (lambda: Regression("a", loss="hubber"), "did you mean 'huber'"),
        (lambda: Regression("a", outputs=2, scaling=([1.0], 1.0)), "scaling: found 1 numbers"),
        (lambda: Regression("a", scaling=(0.0, 0.0)), "standard deviation 0.0, expected > 0"),
        (lambda: MultiLabel("a", columns=["x", "x"]), "'x' twice"),
        (lambda: MultiLabel("a", classes=3, columns=["x", "y"]), "classes: found 3 entries"),
        (lambda: MultiLabel("a", classes=3, threshold=1.5), "expected a number < 1"),
        (lambda: MultiLabel("a", pos_weight="balanced"), "number of classes is not known"),
        (lambda: create("clasification", "a"), "did you mean 'classification'"),
        (lambda: create("regression", "a", delt=1.0), "did you mean 'delta'"),
    ],
)
def test_a_wrong_option_is_an_error_that_says_what_was_expected(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_every_task_has_the_common_options_and_their_defaults():
    task = Regression("area")
    assert (task.column, task.weight, task.main, task.enabled) == ("area", 1.0, False, True)
    assert task.learning_rate is None
    task = Regression("area", column="size", weight=2.0, main=True, enabled=False, learning_rate=1)
    assert (task.column, task.weight, task.main, task.enabled) == ("size", 2.0, True, False)
    assert task.learning_rate == 1


def test_names_of_classes_give_their_number():
    task = Classification("a", classes=["no", "yes", "maybe"])
    assert (task.outputs, task.class_names) == (3, ("no", "yes", "maybe"))
    tags = MultiLabel("a", columns=["red", "round"])
    assert (tags.outputs, tags.class_names) == (2, ("red", "round"))
    assert MultiLabel("a", columns="tag_*").outputs == 0
    assert MultiLabel("a", columns=["tag_*", "round"]).outputs == 0
    assert MultiLabel("a", columns=["tag_*", "round"], classes=4).outputs == 4


def test_uncertainty_weighting_is_told_the_likelihood():
    assert Classification("a", classes=2).uncertainty_kind == "classification"
    assert MultiLabel("a", classes=2).uncertainty_kind == "classification"
    assert Regression("a").uncertainty_kind == "regression"
    assert Regression("a", loss="mae").uncertainty_kind == "laplace"


def test_a_registered_loss_is_used_by_name_under_the_rules_of_any_callable():
    motet.register("loss", "fourth_power", lambda raw, target: ((raw - target) ** 4).mean())
    motet.register("loss", "smooth", torch.nn.SmoothL1Loss)
    raw, target = torch.tensor([1.0, 2.0, 5.0]), torch.tensor([0.0, 0.0, torch.nan])
    assert Regression("a", loss="fourth_power").loss(raw, target) == (17, 2)
    assert Regression("a", loss="smooth").loss(raw, target) == (2, 2)
