"""A multi-task model that old code calls as a model of one task."""

import pytest
import torch
from torch import nn

import motet
from motet.problems import InputError
from motet.tasks import Classification, Regression


def model(**options):
    tasks = [Classification("digit", classes=10), Regression("area", **options)]
    return motet.MultiTaskModel(nn.Sequential(nn.Linear(4, 8), nn.ReLU()), tasks)


ROWS = torch.randn(5, 4)


def test_a_call_returns_the_output_of_one_task():
    made = model()
    single = made.facade("digit")
    assert torch.equal(single(ROWS), made(ROWS)["digit"])
    assert single.all(ROWS).keys() == {"digit", "area"}
    single.primary = "area"
    assert torch.equal(single(ROWS), made(ROWS)["area"])


def test_the_main_task_is_primary_or_the_first():
    assert model(main=True).facade().primary == "area"
    assert model().facade().primary == "digit"


def test_other_tasks_can_be_switched_off_and_on_but_not_the_primary_one():
    single = model().facade("digit")
    single.disable_task("area")
    assert single.all(ROWS).keys() == {"digit"}
    single.enable_task("area")
    assert single.all(ROWS).keys() == {"digit", "area"}
    with pytest.raises(InputError, match="set primary to another first"):
        single.disable_task("digit")


def test_it_trains_the_parameters_of_the_model():
    made = model()
    assert set(made.facade().parameters()) == set(made.parameters())


def test_inputs_by_the_names_of_their_encoders():
    encoders = {"left": nn.Linear(4, 8), "right": nn.Linear(4, 8)}
    made = motet.MultiTaskModel(encoders=encoders, tasks=[Regression("y")])
    expected = made({"left": ROWS, "right": -ROWS})["y"]
    assert torch.equal(made.facade()(left=ROWS, right=-ROWS), expected)


def test_what_cannot_be_primary_is_named():
    made = model()
    with pytest.raises(InputError, match="named 'digits'; did you mean 'digit'"):
        made.facade("digits")
    made.disable_task("area")
    with pytest.raises(InputError, match="no enabled task with an output is named 'area'"):
        made.facade("area")
    with pytest.raises(InputError, match="found 2 positional and 0 named inputs"):
        made.facade()(ROWS, ROWS)
    with pytest.raises(InputError, match="not made by"):
        made.facade().old_state_dict()


def test_the_encoder_is_what_was_given():
    encoder = nn.Linear(4, 8)
    made = motet.MultiTaskModel(encoder, [Regression("y")])
    assert made.encoder is encoder
    experts = motet.sharing.create("mmoe", experts=2, expert_width=4)
    made = motet.MultiTaskModel(encoder, [Regression("y"), Regression("z")], sharing=experts)
    with pytest.raises(InputError, match="do not share one encoder"):
        _ = made.encoder
